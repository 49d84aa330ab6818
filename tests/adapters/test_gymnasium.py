import adapter_tasks
import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics

import xworld
from xworld import ConfigError
from xworld.adapters.gymnasium import GymnasiumEnv, GymnasiumVectorEnv

EPISODE = 8  # steps
NUM_ENVS = 3


@pytest.fixture(scope="module")
def tasks():
    return adapter_tasks.numbered(
        adapter_tasks.ALONE, adapter_tasks.ALONE.replace("agent, red ball", "agent, blue cube")
    )


@pytest.mark.parametrize("observation", ["flat", pytest.param("structured", marks=pytest.mark.slow)])
def test_gymnasium_finds_nothing_to_complain_of(tasks, observation):
    env, source = tasks
    one = gymnasium.make("xworld/trivial-v0", tasks=source, env=env, observation=observation, render_mode="rgb_array")
    check_env(one.unwrapped)


def test_names_are_registered():
    names = [name for name in xworld.environment_names() if xworld.make(name).config.num_agents == 1]
    assert {f"xworld/{name}-v0" for name in names} <= set(gymnasium.registry)
    spec = gymnasium.spec("xworld/rooms1-9x9-v0")
    assert spec.kwargs == {"tasks": "rooms1-9x9"}


def test_made_by_name(tasks):
    env, source = tasks
    one = gymnasium.make("xworld/trivial-v0", tasks=source, env=env)
    assert isinstance(one.unwrapped, GymnasiumEnv) and one.reset(seed=0)[0] in one.observation_space
    many = gymnasium.make_vec("xworld/trivial-v0", num_envs=NUM_ENVS, tasks=source, env=env)
    assert isinstance(many, GymnasiumVectorEnv) and many.reset(seed=0)[0] in many.observation_space


def test_an_episode_pays_and_ends(tasks):
    env, source = tasks
    one = GymnasiumEnv(source, env)
    one.reset(seed=0, options={"task": source.tasks.task(0)})
    steps = [one.step(adapter_tasks.PICK_UP) for _ in range(EPISODE)]
    assert [reward for _, reward, *_ in steps] == [1.0] * EPISODE  # it is taken up at once in both trials
    assert [is_over for _, _, is_over, _, _ in steps] == [False] * 7 + [True]
    assert not any(is_cut for _, _, _, is_cut, _ in steps)
    assert [info["is_trial_first"] for *_, info in steps] == [False] * 3 + [True] + [False] * 4
    assert one.step(adapter_tasks.PICK_UP)[1:4] == (0.0, True, False)  # after the end nothing is paid


def test_a_task_of_ones_own_is_played(tasks):
    env, source = tasks
    one = GymnasiumEnv(source, env, render_mode="ansi")
    one.reset(seed=0, options={"task": source.tasks.task(1)})
    assert "Your goal: hold(agent, blue cube)" in one.render()
    assert int(one.now.state.task.world_id) == -1


@pytest.mark.parametrize("make", [GymnasiumEnv, pytest.param(GymnasiumVectorEnv, marks=pytest.mark.slow)])
def test_the_seed_decides_all(tasks, make):
    env, source = tasks

    def play(seed: int) -> list:
        one = make(source, env)
        one.action_space.seed(0)
        seen = [one.reset(seed=seed)[0]]
        for _ in range(2 * EPISODE):
            seen.append(one.step(one.action_space.sample())[:4])
        return seen

    assert data_equivalence(play(1), play(1), exact=True)
    assert any(not data_equivalence(play(1)[0], play(seed)[0], exact=True) for seed in range(2, 8))


def test_a_vector_env_does_what_single_ones_do(tasks):
    """In episodes of equal length, each of a new task, that begin by themselves."""
    env, source = tasks
    many = GymnasiumVectorEnv(source, env, num_envs=NUM_ENVS)
    assert many.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    singles = [GymnasiumEnv(source, env) for _ in range(NUM_ENVS)]
    numbers = set()

    def begin() -> list[np.ndarray]:
        """What single environments see of the tasks that the vector environment plays now."""
        tasks = jax.device_get(many.batches.vec.states(many.batch.vector).task)
        numbers.update(tasks.world_id.tolist())
        ones = [jax.tree.map(lambda leaf, i=i: leaf[i], tasks) for i in range(NUM_ENVS)]
        return [one.reset(options={"task": task})[0] for one, task in zip(singles, ones, strict=True)]

    seen, _ = many.reset(seed=0)
    np.testing.assert_array_equal(seen, begin())
    generator = np.random.default_rng(0)
    for time in range(1, 4 * EPISODE + 1):
        actions = generator.integers(0, 7, NUM_ENVS)
        seen, rewards, over, cut, infos = many.step(actions)
        steps = [one.step(int(action)) for one, action in zip(singles, actions, strict=True)]
        assert rewards.tolist() == [step[1] for step in steps] and not cut.any()
        assert over.tolist() == [step[2] for step in steps] == [time % EPISODE == 0] * NUM_ENVS
        last = [step[0] for step in steps]
        if time % EPISODE == 0:
            assert infos["_final_obs"].all()
            np.testing.assert_array_equal(np.stack(infos["final_obs"]), last)
            last = begin()
        else:
            assert "final_obs" not in infos
        np.testing.assert_array_equal(seen, last)
    assert len(numbers) == 5 * NUM_ENVS  # no task was played twice


def test_wrappers_count_episodes(tasks):
    env, source = tasks
    many = RecordEpisodeStatistics(GymnasiumVectorEnv(source, env, num_envs=NUM_ENVS))
    many.reset(seed=0)
    for _ in range(EPISODE):
        *_, infos = many.step(np.full(NUM_ENVS, adapter_tasks.NOOP))
    assert infos["episode"]["l"].tolist() == [EPISODE] * NUM_ENVS


def test_pictures_and_words(tasks):
    env, source = tasks
    many = GymnasiumVectorEnv(source, env, num_envs=NUM_ENVS, render_mode="rgb_array")
    many.reset(seed=0)
    frames = many.render()
    assert len(frames) == NUM_ENVS and frames[0].shape == (160, 160, 3) and frames[0].dtype == np.uint8
    one = GymnasiumEnv(source, env, render_mode="ansi")
    one.reset(seed=0)
    assert one.render().startswith("You are agent.\nYour goal: hold(agent,")


def test_what_is_wrong_is_said(tasks):
    env, source = tasks
    two, _ = adapter_tasks.make(adapter_tasks.TOGETHER)
    one, many = GymnasiumEnv(source, env), GymnasiumVectorEnv(source, env, num_envs=NUM_ENVS)
    one.reset(seed=0)
    many.reset(seed=0)
    for call, message in (
        (lambda: GymnasiumEnv("trivail"), "Did you mean 'trivial'"),
        (lambda: GymnasiumEnv(source), "need their environment"),
        (lambda: GymnasiumEnv(3, env), "tasks is 3"),
        (lambda: GymnasiumEnv(source, two), "for another environment"),
        (lambda: GymnasiumEnv(adapter_tasks.make(adapter_tasks.TOGETHER)[1], two), "for 2 agents"),
        (lambda: GymnasiumEnv(source, env, observation="pixels"), "'pixels' is unknown"),
        (lambda: GymnasiumEnv(source, env, render_mode="human"), "render_mode: 'human' is unknown"),
        (lambda: GymnasiumEnv(source, env).step(0), r"Call reset\(\)"),
        (lambda: one.step(7), "The action is 7"),
        (lambda: one.step(-1), "The action is -1"),
        (lambda: one.step(np.array([1, 2])), "The action is "),
        (lambda: one.reset(options={"task": "probes:one_player"}), r"options\['task'\] is a str; write a task"),
        (lambda: many.reset(options={"task": source.tasks.task(0)}), "is for one environment"),
        (lambda: many.step(np.zeros((NUM_ENVS, 1), int)), r"write \[3\] whole numbers"),
        (lambda: many.step(np.zeros(NUM_ENVS)), "float64"),
        (lambda: many.step(np.array([0, 7, 1])), "0 to 7"),
        (lambda: many.reset(options={"reset_mask": np.ones(NUM_ENVS, bool)}), "by themselves"),
        (lambda: one.reset(options={"task": adapter_tasks.make(adapter_tasks.TOGETHER)[1]}), "another environment"),
    ):
        with pytest.raises(ConfigError, match=message):
            call()
