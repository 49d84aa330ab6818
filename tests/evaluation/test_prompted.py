"""Demonstrations: the agent remembers what somebody else did in the first trial as if it had done so itself."""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evaluation_tasks import CONFIG, ENV, KEY, KNOWN, NUM_TRIALS, TRIAL_LENGTH, make_room, stack, take

from xworld import ConfigError, Env
from xworld.agents import AgentConfig, AgentPolicy, ExpertPolicy, NoopPolicy, make_agent, make_player, save
from xworld.agents.players import plan_policy
from xworld.agents.prompted import PromptedPolicy, RecordedPolicy
from xworld.apps.commands.main import main
from xworld.core.step.actions import NOOP
from xworld.evaluation import episode_key, record
from xworld.evaluation.demonstrations import next_tasks, prompt
from xworld.histories import history_of, write_history
from xworld.tasks import TaskCollection, TaskSet
from xworld.tasks import save as save_tasks

NUM_TASKS = 4


@pytest.fixture(scope="module")
def tasks():
    return stack([make_room(cells) for cells, _ in KNOWN[:NUM_TASKS]])


@pytest.fixture(scope="module")
def collection(tasks):
    return TaskCollection("rooms", ENV, tasks)


@pytest.fixture(scope="module")
def agent():
    agent = make_agent(
        AgentConfig(embedding_size=4, encoder_size=8, briefing_size=8, memory_size=8, head_size=8), CONFIG
    )
    params = jax.jit(agent.init)(jax.random.key(1))
    params = jax.tree.map(lambda leaf: leaf + 0.5 * jax.random.normal(KEY, leaf.shape), params)
    return AgentPolicy(params, agent, is_greedy=True)


@pytest.fixture(scope="module")
def player(agent):
    return make_player("agent", agent)


def played(policy, task, index=0):
    """Actions [T] and timesteps [T + 1, ...] of an episode."""
    states, timesteps = record(ENV, task, policy, episode_key(KEY, index))
    return np.asarray(states.last_action)[1:, 0], timesteps


def test_the_first_trial_is_the_demonstrators_and_the_agent_remembers_it(tasks, agent, player, collection):
    prompted, same = prompt(player, collection, "expert")
    assert same is collection and isinstance(prompted.policy.demonstrator, ExpertPolicy)
    task = take(tasks, 1)
    actions, timesteps = played(prompted.policy, task)
    of_expert, _ = played(plan_policy(ENV, tasks, show_progress=False), task)
    np.testing.assert_array_equal(actions[:TRIAL_LENGTH], of_expert[:TRIAL_LENGTH])
    # Afterwards it does what it would do if all of this had happened to it: its memory has seen the first trial.
    network = agent.agent
    told = jax.jit(network.encode_briefing)(agent.params, ENV.briefing(task))
    unroll = jax.jit(network.unroll)
    all_steps = unroll(agent.params, timesteps.observation, told, network.start_memory(), timesteps.is_first).logits[
        :-1, 0
    ]
    forgetful = unroll(
        agent.params, timesteps.observation, told, network.start_memory(), timesteps.is_trial_first
    ).logits[:-1, 0]
    np.testing.assert_array_equal(actions[TRIAL_LENGTH:], np.argmax(all_steps, -1)[TRIAL_LENGTH:])
    assert not np.allclose(all_steps[TRIAL_LENGTH], forgetful[TRIAL_LENGTH], atol=1e-3)  # or this says nothing


def test_the_control_shows_another_task(tasks, agent, player, collection):
    elsewhere, _ = prompt(player, collection, "expert", of_another_task=True)
    assert elsewhere.about["demonstrated_task"] == "next"
    task, other = take(tasks, 1), take(tasks, 2)
    actions, timesteps = played(elsewhere.policy, task)
    assert (actions[:TRIAL_LENGTH] == NOOP).all()
    # Its memory is that of who looked on in the other task, and then came into its own.
    expert = plan_policy(ENV, tasks, show_progress=False)
    shown_states, shown = played(expert, other)
    network = agent.agent
    own, there = (jax.jit(network.encode_briefing)(agent.params, ENV.briefing(one)) for one in (task, other))
    observation, first = timesteps.observation, shown.observation

    def joined(ours, theirs):
        return np.concatenate([np.asarray(theirs)[:TRIAL_LENGTH], np.asarray(ours)[TRIAL_LENGTH:]])

    seen = jax.tree.map(joined, observation, first)
    for name in ("last_action", "last_reward"):
        getattr(seen, name)[TRIAL_LENGTH] = np.asarray(getattr(first, name))[TRIAL_LENGTH]
    told = np.where((np.arange(len(seen.trial)) < TRIAL_LENGTH)[:, None, None], there, own)
    logits = jax.jit(network.unroll)(
        agent.params, jax.tree.map(jnp.asarray, seen), jnp.asarray(told), network.start_memory(), timesteps.is_first
    ).logits[:-1, 0]
    np.testing.assert_array_equal(actions[TRIAL_LENGTH:], np.argmax(logits, -1)[TRIAL_LENGTH:])
    assert (seen.last_reward[TRIAL_LENGTH] == 1).all() and len(shown_states)  # the expert was paid there


def test_other_tasks_are_as_long_as_the_task_itself(tasks):
    lengths = jnp.arange(5, 5 + NUM_TASKS, dtype=tasks.trial_length.dtype)
    others = next_tasks(dataclasses.replace(tasks, trial_length=lengths))
    np.testing.assert_array_equal(others.trial_length, lengths)
    np.testing.assert_array_equal(others.object_position[0], tasks.object_position[1])
    np.testing.assert_array_equal(others.object_position[-1], tasks.object_position[0])


@pytest.fixture(scope="module")
def history(tasks, tmp_path_factory) -> Path:
    """Of an episode in which the agent faced in a direction that chance decided."""
    task = make_room(KNOWN[0][0], facing=None)
    states, timesteps = record(ENV, task, plan_policy(ENV, stack([task]), show_progress=False), KEY, num_trials=2)
    path = tmp_path_factory.mktemp("histories") / "one.jsonl"
    write_history(path, history_of(ENV, states, timesteps, ["expert"]))
    return path


def test_a_history_is_played_again(agent, player, history):
    rooms = stack([make_room(KNOWN[0][0], facing=None)])
    prompted, changed = prompt(player, TaskCollection("room", ENV, rooms), str(history))
    for index in range(3):  # whatever the chance
        _, timesteps = played(prompted.policy, take(changed.tasks, 0), index)
        rewards = np.asarray(timesteps.reward)[1 : TRIAL_LENGTH + 1, 0]
        assert rewards.sum() >= TRIAL_LENGTH - 6  # as the expert's, who needed a few steps


def test_what_was_recorded_ends():
    policy = RecordedPolicy(jnp.array([[1], [2]], jnp.uint8))
    _, timesteps = played(PromptedPolicy(NoopPolicy(), policy), make_room(KNOWN[0][0]))
    actions = np.asarray(timesteps.observation.last_action)[1:, 0]
    assert actions[:3].tolist() == [1, 2, NOOP] and (actions[2:] == NOOP).all()
    assert len(actions) == TRIAL_LENGTH * NUM_TRIALS


def test_what_cannot_be_shown_is_said(player, collection, history, tasks, tmp_path):
    one = TaskCollection("one", ENV, stack([make_room(KNOWN[0][0], facing=None)]))
    other = TaskCollection("other", ENV, stack([make_room(KNOWN[1][0], facing=None)]))
    smaller = dataclasses.replace(CONFIG, max_objects=3)
    short = tmp_path / "short.jsonl"
    short.write_text("".join(history.read_text().splitlines(keepends=True)[:6]))
    for arguments, options, message in (
        ((make_player("noop", NoopPolicy()), collection, "expert"), {}, "Only a trained agent can be shown something"),
        ((player, collection, "exprt"), {}, "Did you mean 'expert'?"),
        ((player, one, "expert"), {"of_another_task": True}, "There is one task only"),
        ((player, one, str(history)), {"of_another_task": True}, "is a history of one task: it shows no other"),
        ((player, collection, str(history)), {}, f"is a history of one task, and there are {NUM_TASKS}"),
        ((player, other, str(history)), {}, "is a history of another task"),
        ((player, dataclasses.replace(one, env=Env(smaller)), str(history)), {}, "max_objects"),
        ((player, one, str(short)), {}, "ends after 5 of the 12 steps of its first trial"),
    ):
        with pytest.raises(ConfigError) as error:
            prompt(*arguments, **options)
        assert message in str(error.value)


@pytest.fixture
def folder(agent, tmp_path, monkeypatch):
    """A folder with a saved agent and a room for it."""
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "agent", agent.agent, agent.params)
    return tmp_path


def test_bad_commands_are_one_line(folder, capsys):
    start = ["evaluate", "--agent", "agent"]
    for arguments, message in (
        ([*start, "--demonstrator", "expert"], "goes with --task-set"),
        ([*start, "--task-set", "probes:memory", "--demonstrated-task", "next"], "goes with --demonstrator"),
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


@pytest.mark.slow
def test_a_prompted_agent_by_the_protocol(folder, tasks, capsys):
    save_tasks(folder / "rooms.npz", TaskSet(tasks), CONFIG)
    start = ["evaluate", "--agent", "agent", "--task-set", "rooms.npz", "--demonstrator", "expert"]
    assert main([*start, "--num-trials", "1", "2"]) == 2
    assert "leaves no trial to the agent" in capsys.readouterr().err
    assert main([*start, "--num-trials", "2", "--repetitions", "2"]) == 0
    output = folder / "runs" / "agent-on-rooms.npz-shown-same-by-expert"
    content = json.loads((output / "scores.json").read_text())
    assert list(content["scores"]) == ["prompted"] and "prompted: score of the last trial" in capsys.readouterr().out
    (about,) = content["players"].values() if isinstance(content["players"], dict) else content["players"]
    assert about["demonstrator"]["name"] == "expert" and about["demonstrated_task"] == "same"
    returns = np.array([task["return_by_trial"]["prompted"]["2"] for task in content["tasks"]])
    assert (returns[:, 0] >= TRIAL_LENGTH - 6).all()  # the first is the expert's
