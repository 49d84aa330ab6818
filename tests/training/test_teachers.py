"""Teachers: what they say along a student's history, for how long it listens, and what a run keeps of them."""

import dataclasses
import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from devices_worker import short_config, untrained_teacher
from jax.sharding import PartitionSpec as P
from tiny_rooms import SANITY_TASKS, SMALL_AGENT, TinyRooms, env_config

from xworld import ConfigError, Env, VectorEnv
from xworld.agents import LoadedAgent, Output, load, make_agent, save
from xworld.agents.return_scale import ReturnScale
from xworld.apps.commands.main import main
from xworld.base.configs import to_json
from xworld.base.xla.devices import make_mesh
from xworld.core.config import EnvConfig
from xworld.training import (
    PRESETS,
    PPOConfig,
    RunConfig,
    Teacher,
    TeachingConfig,
    make_teacher,
    make_trainer,
    read_teacher,
    save_teacher,
    train,
)
from xworld.training.learners.learner import Batch, Trained, add_terms, guidance
from xworld.training.learners.terms.teacher import divergence
from xworld.training.logs.metrics import MetricsWriter
from xworld.training.rollouts.rollout import collect, pick_told, start_actor
from xworld.training.run.given import Given
from xworld.training.run.held_out import Evaluator

TASKS = TinyRooms(trial_length=5, num_trials=2)  # episodes of 10 steps, rollouts of 13
LENGTH, NUM_ENVS = 13, 8
SCALE = ReturnScale(np.float32(0.4), np.float32(4.0), np.float32(1.0))


def rough(params, size=0.3):
    return jax.tree.map(lambda leaf: leaf + size * jax.random.normal(jax.random.key(1), leaf.shape), params)


@pytest.mark.slow  # quicker: `test_ppo_asks_the_teacher`
def test_a_teacher_that_is_the_student_has_nothing_to_say():
    """Along episodes and rollouts that do not end together. Another has, or one whose values mean something else."""
    ppo = PPOConfig(
        rollout_length=LENGTH, num_minibatches=2, num_epochs=1, learning_rate=1e-9, final_learning_rate=0.0,
        return_decay=1 - 1e-7,  # what the student's values mean stays
    )  # fmt: skip
    config = RunConfig(env=env_config(), agent=SMALL_AGENT, learner=ppo, num_envs=16, num_groups=2, updates_per_chunk=4)
    trainer = make_trainer(config)
    params = trainer.agent.init(jax.random.split(jax.random.key(config.seed))[0])
    other_scale = dataclasses.replace(SCALE, mean=np.float32(1.4))
    teaching = TeachingConfig(schedule="constant", share=1.0)
    for teacher, scale, is_same in ((params, SCALE, True), (rough(params), SCALE, False), (params, other_scale, False)):
        given = trainer.given(TASKS, (Teacher(teacher, trainer.agent, scale, teaching),))
        state = trainer.start(given)
        state = dataclasses.replace(state, learner=dataclasses.replace(state.learner, return_scale=SCALE))
        _, _, metrics, _ = trainer.chunk(state, given)
        said = np.asarray(metrics["term_teacher"])
        assert (said < 1e-6).all() if is_same else (said > 1e-3).all()
        np.testing.assert_array_equal(metrics["weight_teacher"], 1)


def student():
    """The student; a function of a key that gives its parameters and actors; and one that plays a rollout."""
    agent, vec = make_agent(SMALL_AGENT, env_config()), VectorEnv(Env(env_config()), NUM_ENVS)

    def start(key):
        return rough(agent.init(key)), start_actor(agent, vec, key, TASKS)

    def play(params, actor, key):
        return collect(agent, params, vec, actor, key, TASKS, LENGTH)[:2]

    return agent, start, play


@functools.cache
def played():
    """Three rollouts of a student, one after the other."""
    agent, start, play = student()
    params, actor = jax.jit(start)(jax.random.key(3))
    play, rollouts = jax.jit(play), []
    for key in jax.random.split(jax.random.key(4), 3):
        actor, rollout = play(params, actor, key)
        rollouts.append(rollout)
    return agent, params, rollouts


@pytest.mark.slow  # quicker: `test_ppo_asks_the_teacher`
@pytest.mark.parametrize("memory", ["gru", "transformer_xl"])
def test_what_a_teacher_says_is_what_it_would_think_step_by_step(memory):
    """Across episodes and borders of rollouts, by a loop that empties its memory at first trials' first views alone."""
    _, _, rollouts = played()
    changes = {"num_heads": 2, "feed_forward_size": 32, "window": 4, "cache_size": 12} if memory != "gru" else {}
    config = dataclasses.replace(SMALL_AGENT, memory=memory, memory_size=24, **changes)
    agent = make_agent(config, env_config())
    params = jax.jit(lambda key: rough(agent.init(key)))(jax.random.key(4))
    teacher = Teacher(params, agent, SCALE)

    @jax.jit
    def one(told, observation, is_next, memory, is_first):
        now = pick_told(is_next, *told)
        return agent.step(params, observation, now, memory, is_first)

    follow, encode = jax.jit(teacher.follow), jax.jit(agent.encode_briefing)
    carry, memory, num_resets = teacher.start(NUM_ENVS), agent.start_memory(NUM_ENVS), 0
    for rollout in rollouts:
        carry, extra = follow(carry, rollout)
        told = [encode(params, briefing) for briefing in rollout.context.briefings]
        for t in range(LENGTH):
            observation = jax.tree.map(lambda leaf, t=t: leaf[t], rollout.steps.observation)
            is_first = (observation.trial == 0) & (observation.time_left == observation.trial_length)
            num_resets += int(is_first.sum())
            output = one(told, observation, rollout.steps.is_next_task[t], memory, is_first)
            memory = output.memory
            np.testing.assert_allclose(extra["logits"][t], output.logits, atol=2e-5)
            np.testing.assert_allclose(extra["value"][t], output.value * 2 + 0.4, atol=5e-5)
    assert num_resets >= 3 * NUM_ENVS


@pytest.mark.slow
def test_ppo_asks_the_teacher():
    """An update's loss is what the teacher leaves of the student's own, and what it adds."""
    agent, params, (rollout, *_) = played()
    teaching = TeachingConfig(weight=0.75, schedule="constant", share=1.0, value_weight=0.3, l2=0.01)
    teacher = Teacher(rough(params, 0.2), agent, SCALE, teaching)
    config = PPOConfig(rollout_length=LENGTH, num_minibatches=1, num_epochs=1)
    ppo, batch = config.make(agent), Batch(num_envs=NUM_ENVS, num_groups=1)

    @jax.jit
    @functools.partial(jax.shard_map, mesh=make_mesh(), in_specs=P(), out_specs=P(), check_vma=False)
    def learn(teacher):
        trained = Trained(params, ((),))
        _, extra = teacher.follow(teacher.start(NUM_ENVS), rollout)
        state, key = ppo.start(trained, jax.random.key(0)), jax.random.key(1)
        _, state, report = ppo.learn(trained, state, rollout, (extra,), (teacher,), key, jnp.float32(0.5), batch)
        return report, extra, state.return_scale

    report, extra, scale = learn(teacher)
    metrics = {name: float(value) for name, value in report.metrics.items()}
    logits, steps = extra["logits"], rollout.steps
    norm = sum(float(jnp.square(leaf).sum()) for leaf in jax.tree.leaves(params))
    expected = 0.25 * metrics["policy_loss"] + config.value_weight * metrics["value_loss"]
    expected += metrics["term_teacher"] - metrics["entropy_weight"] * metrics["entropy"] + 0.5 * 0.01 * norm
    assert metrics["loss"] == pytest.approx(expected, rel=1e-4) and metrics["weight_teacher"] == 0.75

    own = jax.jit(lambda: agent.unroll(
        params, steps.observation, pick_told(steps.is_next_task, *(
            agent.encode_briefing(params, briefing) for briefing in rollout.context.briefings
        )), rollout.context.memory, steps.is_reset,
    ))()  # fmt: skip
    deviation, mean = float(jnp.sqrt(scale.variance)), float(scale.mean)
    targets = (extra["value"] - mean) / deviation
    assert deviation < 2  # that of the teacher, in which the difference is measured then
    said = divergence(logits, own.logits) + 0.3 * 0.5 * jnp.square((own.value - targets) * deviation / 2)
    assert metrics["term_teacher"] == pytest.approx(0.75 * float(said.mean()), rel=1e-3)


@pytest.mark.parametrize(("variance", "unit"), [(1e-4, 0.01), (4.0, 2.0), (25.0, 5.0)])
def test_values_are_apart_in_the_larger_unit_of_the_two(variance, unit):
    """A student that earns nothing has a deviation of .01; without this a difference of 1 would count as 5,000."""
    student = ReturnScale(np.float32(0), np.float32(1e-4), np.float32(1))
    teacher_scale = dataclasses.replace(SCALE, variance=np.float32(variance))
    teacher = Teacher({}, make_agent(SMALL_AGENT, env_config()), teacher_scale, TeachingConfig(value_weight=1.0))
    shape = (1, 2, 1)
    extra = {"logits": jnp.zeros((*shape, 7)), "value": jnp.ones(shape), "unit": jnp.ones(shape)}
    output = Output(jnp.zeros((*shape, 7)), student.to_values(jnp.zeros(shape)), jnp.zeros((*shape, 4)), ())
    said = teacher.loss((), output, None, teacher.in_values(extra, student), jnp.float32(0))
    np.testing.assert_allclose(said, 0.5 * (1 / unit) ** 2, rtol=1e-4)


def test_divergence_has_known_values():
    logits = jnp.log(jnp.array([[0.5, 0.5], [0.9, 0.1]]))
    others = jnp.log(jnp.array([[0.5, 0.5], [0.5, 0.5]]))
    expected = [0, 0.9 * np.log(1.8) + 0.1 * np.log(0.2)]
    np.testing.assert_allclose(divergence(logits, others), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("teaching", "weights"),
    [
        (TeachingConfig(weight=2.0, share=0.5), [2, 1, 0, 0]),
        (TeachingConfig(weight=2.0, share=0.3, schedule="constant"), [2, 2, 0, 0]),
        (TeachingConfig(weight=2.0, schedule="score"), [2, 2, 2, 2]),  # until there is an evaluation
    ],
)
def test_weights_follow_their_schedule(teaching, weights):
    teacher = untrained_teacher(**dataclasses.asdict(teaching))
    found = [teacher.weight(jnp.float32(progress)) for progress in (0, 0.25, 0.5, 1)]
    np.testing.assert_allclose(found, weights, rtol=1e-6)


def test_the_policy_gradient_is_what_the_teacher_leaves():
    for weight, own, scale_policy in ((0.4, 0.6, True), (3.0, 0.0, True), (0.4, 1.0, False)):
        guide = untrained_teacher(weight=weight, scale_policy=scale_policy, l2=0.1).guide(jnp.float32(0))
        np.testing.assert_allclose([guide.weight, guide.own, guide.l2], [weight, own, 0.1], rtol=1e-6)
    over = untrained_teacher(l2=0.1).guide(jnp.float32(0.5))
    np.testing.assert_allclose([over.weight, over.own, over.l2], [0, 1, 0])


def test_teaching_by_score_ends_for_good_when_the_student_is_as_good():
    teacher = untrained_teacher(weight=2.0, schedule="score").measured(lambda agent, params: 0.5)
    weights = []
    for score in (0.1, 0.4, 0.3, 0.5, 0.2):
        teacher = teacher.evaluated(score, progress=0.9)
        weights.append(float(teacher.weight(jnp.float32(0))))
    np.testing.assert_allclose(weights, [1.6, 0.4, 0.8, 0, 0], rtol=1e-6)
    with pytest.raises(ConfigError, match="The teacher's last-trial score is 0: the student cannot be compared"):
        teacher.measured(lambda agent, params: 0.0)


def test_a_teacher_rests_when_teaching_is_over():
    agent, start, play = student()
    key = jax.random.key(0)
    shapes = jax.eval_shape(lambda: play(*start(key), key)[1])
    rollout = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    teacher = Teacher(jax.jit(agent.init)(key), agent, SCALE)
    assert teacher.evaluated(0.1, progress=0.4).is_on and not teacher.evaluated(0.1, progress=0.5).is_on
    over = dataclasses.replace(teacher, is_on=np.bool_(False))
    carry = jax.tree.map(lambda leaf: leaf + 3, teacher.start(NUM_ENVS))
    after, extra = jax.jit(lambda carry: over.follow(carry, rollout))(carry)
    jax.tree.map(np.testing.assert_array_equal, after, teacher.start(NUM_ENVS))
    assert not extra["logits"].any() and (extra["unit"] == 1).all()
    assert over.weight(jnp.float32(0)) == 0


TAUGHT = dataclasses.replace(short_config(), chunks_per_evaluation=1)


def taught(folder: Path, **options):
    """A run with a teacher by score, evaluated after each of its two chunks."""
    teacher = untrained_teacher(schedule="score", weight=1.5)
    return train(TAUGHT, folder, tasks=SANITY_TASKS, terms=(teacher,), show_progress=False, **options)


@pytest.mark.slow  # `test_seams` has the same of a run with a teacher whose weight is not by score
def test_a_run_that_is_taught_by_score_goes_on_bit_for_bit(tmp_path):
    """From a checkpoint after which the weight is by the score that was found before it."""
    finished, folder, rows = tmp_path / "finished", tmp_path / "run", []
    assert taught(finished)

    def kill(row):
        rows.append(row)
        if len(rows) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        taught(folder, on_row=kill)
    assert [path.name for path in folder.glob("checkpoint-*")] == ["checkpoint-2"]
    assert taught(folder, resume=True)
    weights = [row["weight_teacher"] for row in MetricsWriter.read(folder)]
    assert weights == [row["weight_teacher"] for row in MetricsWriter.read(finished)]
    assert weights[0] == 1.5 and weights[1] < 1.5
    for leaf, expected in zip(*(jax.tree.leaves(load(path).params) for path in (folder, finished)), strict=True):
        np.testing.assert_array_equal(leaf, expected)


def test_a_teacher_that_earns_nothing_is_refused_before_the_run_begins(monkeypatch, tmp_path):
    """So that the same folder takes another run."""
    monkeypatch.setattr(Evaluator, "score", lambda *_: 0.0)
    started, folder = [], tmp_path / "run"
    with pytest.raises(ConfigError, match="The teacher's last-trial score is 0: the student cannot be compared"):
        taught(folder, on_start=lambda: started.append(folder))
    assert not started and not list(folder.iterdir())


def test_a_run_is_told_its_teacher_from_others():
    """By parameters, and by how it is listened to; `test_seams` has that others are refused."""
    teacher = untrained_teacher()
    others = (
        teacher,
        dataclasses.replace(teacher, params=rough(teacher.params)),
        dataclasses.replace(teacher, config=TeachingConfig(weight=0.5)),
        dataclasses.replace(teacher, return_scale=SCALE),
    )
    told = [Given(TASKS, (other,)).describe()["terms"][0] for other in others]
    assert len(set(told)) == 4 and all(text.startswith("teacher (Teacher: parameters ") for text in told)
    heard = dataclasses.replace(teacher, by_score=np.float32(0.5), is_on=np.bool_(False))
    assert Given(TASKS, (heard,)).describe()["terms"] == told[:1]  # what changes in a run does not count


def loaded_teacher(env=None, scale=SCALE, **changes):
    """An agent for runs of the smoke preset, smaller than theirs, whose parameters are 0."""
    config = PRESETS["smoke"]()
    env = config.env if env is None else env
    agent = make_agent(dataclasses.replace(config.agent, memory_size=16, **changes), env)
    shapes = jax.eval_shape(agent.init, jax.random.key(0))
    return LoadedAgent(agent, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes), scale)


def test_who_can_teach_whom():
    config = PRESETS["smoke"]()
    student = make_agent(config.agent, config.env)
    teaching = TeachingConfig(weight=0.5)
    larger = dataclasses.replace(config.env, height=11, width=11, max_objects=9, push=True)
    for loaded in (loaded_teacher(), loaded_teacher(larger), loaded_teacher(memory="gated_delta")):
        teacher = make_teacher(loaded, student, config.env, teaching)
        assert teacher.config == teaching and teacher.return_scale is SCALE
    assert make_teacher(loaded_teacher(scale=None), student, config.env, TeachingConfig(value_weight=0))
    for loaded, message in (
        (loaded_teacher(dataclasses.replace(config.env, view_size=7)), "(view_size: 7 there, 5 here)"),
        (loaded_teacher(dataclasses.replace(config.env, see_through_walls=True)), "see_through_walls: True there"),
        (loaded_teacher(clear_memory_at_trials=True), "clear_memory_at_trials is True of the teacher and False of"),
        (loaded_teacher(scale=None), "saved without its return_scale"),
    ):
        with pytest.raises(ConfigError) as error:
            make_teacher(loaded, student, config.env, teaching)
        assert message in str(error.value)


def test_terms_of_one_name_are_refused_and_teachers_can_be_told_apart(tmp_path):
    config = PRESETS["smoke"]()
    student = make_agent(config.agent, config.env)
    first, second = (
        make_teacher(loaded_teacher(), student, config.env, TeachingConfig(weight=weight), name=name)
        for weight, name in ((0.5, "first"), (0.25, "second"))
    )
    with pytest.raises(ConfigError, match="2 terms have the name 'first', by which metrics are told apart"):
        train(config, tmp_path / "run", terms=(first, dataclasses.replace(second, name="first")), show_progress=False)
    assert not (tmp_path / "run").exists()
    total, weights = guidance((first, second), jnp.float32(0))
    assert weights == {"weight_first": 0.5, "weight_second": 0.25} and total.weight == 0.75
    terms, ones = (Plain("term", 1.0), Plain("term", 2.0)), jnp.ones((1, 1, 1))
    loss, _ = add_terms(terms, ((), ()), None, None, ((), ()), ones, jnp.float32(0))
    assert loss == 3.0  # of all, whatever they are called


@dataclasses.dataclass(frozen=True)
class Plain:
    """A term whose losses are all the same."""

    name: str
    value: float

    def loss(self, own, output, steps, extra, progress):
        return jnp.full((1, 1, 1), self.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(weight=-1.0), "TeachingConfig.weight is -1.0; write a number of at least 0"),
        (dict(share=0.0), "TeachingConfig.share is 0.0; write a number from above 0 to 1"),
        (dict(schedule="lineal"), "TeachingConfig.schedule: 'lineal' is unknown. Did you mean 'linear'?"),
        (dict(scale_policy=1), "TeachingConfig.scale_policy is 1; write True or False"),
    ],
)
def test_bad_teaching_is_refused(change, message):
    with pytest.raises(ConfigError) as error:
        TeachingConfig(**change)
    assert message in str(error.value)


@pytest.fixture
def calls(monkeypatch):
    """What `train` would be called with."""
    found = []
    monkeypatch.setattr("xworld.training.train", lambda config, folder, **given: found.append(given) or True)
    monkeypatch.setattr("xworld.training.use_host_devices", lambda _: None)
    return found


def write_agent(folder: Path, loaded: LoadedAgent) -> Path:
    save(folder, loaded.agent, loaded.params, loaded.return_scale)
    return folder


def test_a_teacher_on_the_command_line(calls, tmp_path):
    teacher, folder = write_agent(tmp_path / "teacher", loaded_teacher()), tmp_path / "run"
    start = ["train", "--preset", "smoke", "--run", str(folder), "--teacher", str(teacher)]
    assert main([*start, "--teaching.schedule", "constant", "--teaching.share", "0.1"]) == 0
    (given,) = calls
    (term,) = given["terms"]
    assert term.config == TeachingConfig(schedule="constant", share=0.1) and term.agent.config.memory_size == 16
    given["on_start"]()  # as `train` does when the folder is there
    (folder / "config.json").write_text(to_json(PRESETS["smoke"]()))
    (folder / "given.json").write_text("{}")
    kept, teaching = read_teacher(folder)
    assert teaching == term.config and kept.agent == term.agent
    # The run goes on with the one that it keeps, whatever becomes of the other.
    write_agent(teacher, changed(loaded_teacher()))
    assert main(["train", "--resume", str(folder)]) == 0
    assert calls[1]["terms"][0].about == term.about
    assert main(["train", "--resume", str(folder), "--teaching.weight", "0.5"]) == 0
    assert calls[2]["terms"][0].about != term.about  # which `train` refuses


def changed(loaded: LoadedAgent) -> LoadedAgent:
    """The agent with other parameters."""
    return LoadedAgent(loaded.agent, rough(loaded.params), loaded.return_scale)


def test_what_cannot_teach_is_said_in_a_line(calls, tmp_path, capsys):
    other = write_agent(tmp_path / "other", loaded_teacher(EnvConfig(height=9, width=9, view_size=7)))
    start = ["train", "--preset", "smoke", "--run", str(tmp_path / "run")]
    broken = tmp_path / "broken"
    save_teacher(broken, loaded_teacher(), TeachingConfig())
    (broken / "config.json").write_text(to_json(PRESETS["smoke"]()))
    (broken / "given.json").write_text("{}")
    (broken / "teaching.json").write_text(json.dumps({"weihgt": 1.0}))
    for arguments, message in (
        ([*start, "--teacher", "nowhere"], "nowhere does not exist. Name the folder of a training run"),
        ([*start, "--teacher", "expert"], "--teacher expert: only trained agents teach"),
        ([*start, "--teacher", str(other)], "The teacher sees something else than the student"),
        ([*start, "--teaching.weight", "0.5"], "need --teacher"),
        ([*start, "--teacher", str(other), "--teaching.weight", "-1"], "TeachingConfig.weight is -1.0"),
        (["train", "--resume", str(broken)], "teaching.json: TeachingConfig has no field 'weihgt'. Did you mean"),
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert not calls and not (tmp_path / "run").exists()
