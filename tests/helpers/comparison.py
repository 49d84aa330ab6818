"""Runs an environment and the oracle side by side, and says what happened on the way."""

import dataclasses
from typing import Any

import jax
import numpy as np
import oracle
from intentions import Planner
from strategies import MAX_TRIALS, Example, small_config

from xworld import Env, EnvConfig, State, Task, TimeStep

NUM_STEPS = 30  # fixed, so that everything is compiled once

Record = dict[str, Any]

CONFIGS = {
    "one agent, occluded": small_config(),
    "two agents, occluded": small_config(num_agents=2, view_size=7),
    "four agents, transparent": small_config(num_agents=4, see_through_walls=True),
    "few relations, no push": small_config(
        view_size=3, see_through_walls=True, push=False, relations=("touch", "hold", "see")
    ),
    # more things than are asked in one go
    "two agents, several goals, many objects": small_config(
        num_agents=2, max_objects=20, max_goals=3, relations=("touch", "near", "hold")
    ),
}


class Comparison:
    """An environment, compiled once, beside the oracle of the same configuration."""

    def __init__(self, config: EnvConfig) -> None:
        self.config = config
        self.env = Env(config)
        self.run = jax.jit(self._run)
        self.briefing = jax.jit(self.env.briefing)

    def _run(self, seed: jax.Array, task: Task, actions: jax.Array) -> tuple[dict[str, jax.Array], ...]:
        state, timestep = self.env.reset(jax.random.key(seed), task)

        def step(state: State, actions: jax.Array) -> tuple[State, dict[str, jax.Array]]:
            state, timestep = self.env.step(state, actions)
            return state, _visible(state, timestep)

        return _visible(state, timestep), jax.lax.scan(step, state, actions)[1]

    def check(self, example: Example) -> list[Record]:
        """What the oracle expects at every step, after comparing all of it with the environment.

        Raises:
          AssertionError: the environment does something else; names the step and the fields.
        """
        self._check_briefing(example.task)
        actions, expected, got = self.play(example)
        wanted = {name: np.array([record[name] for record in expected]) for name in got}
        if not all(np.array_equal(got[name], wanted[name]) for name in got):
            raise AssertionError(_describe_difference(got, wanted, actions))
        return expected

    def play(self, example: Example) -> tuple[np.ndarray, list[Record], dict[str, np.ndarray]]:
        """[T, A] actions by which agents carry their plans out, and what oracle and environment say comes of them.

        Of both the first record is that of the reset. The environment's has arrays with leading axis T + 1.
        """
        actions, expected = self._imagine(example, *self._trial_starts(example))
        first, later = jax.device_get(self.run(np.uint32(example.seed), example.task, actions))
        return actions, expected, {name: np.concatenate([first[name][None], later[name]]) for name in first}

    def _check_briefing(self, task: Task) -> None:
        briefing = jax.device_get(self.briefing(task))
        for name, wanted in oracle.briefing(self.config, task).items():
            np.testing.assert_array_equal(getattr(briefing, name), wanted, err_msg=f"briefing.{name}")

    def _trial_starts(self, example: Example) -> tuple[list[list[int]], list[int]]:
        """Where agents look at the start of every trial and which goal it has: an episode with trials of one step."""
        hurried = dataclasses.replace(example.task, trial_length=np.uint16(1), num_trials=np.uint16(MAX_TRIALS))
        noops = np.full((NUM_STEPS, self.config.num_agents), oracle.NOOP, np.int32)
        first, later = jax.device_get(self.run(np.uint32(example.seed), hurried, noops))
        directions = [first["agent_direction"].tolist(), *later["agent_direction"][: MAX_TRIALS - 1].tolist()]
        if self.config.max_goals == 1:
            return directions, [0] * MAX_TRIALS
        known = oracle.start(self.config, example.task, directions[0]).all_goals
        goals = [first["goal"].tolist(), *later["goal"][: MAX_TRIALS - 1].tolist()]
        return directions, [known.index(goal) for goal in goals]

    def _imagine(
        self, example: Example, directions: list[list[int]], goal_ids: list[int]
    ) -> tuple[np.ndarray, list[Record]]:
        """What agents with these plans do, and what the oracle says comes of it."""
        world = oracle.start(self.config, example.task, directions[0], goal_ids[0])
        planners = [Planner(agent_id, plan) for agent_id, plan in enumerate(example.plans)]
        records, all_actions = [oracle.reset_timestep(world)], []
        for _ in range(NUM_STEPS):
            actions = [planner.next_action(world) for planner in planners]
            next_trial = min(world.trial + 1, MAX_TRIALS - 1)
            record = oracle.step(world, actions, directions[next_trial], goal_ids[next_trial])
            records.append(record | {"matches": world.matches})
            all_actions.append(actions)
        return np.array(all_actions, np.int32), records


def _visible(state: State, timestep: TimeStep) -> dict[str, jax.Array]:
    """All that a user can read of a state and a timestep, by name."""
    observation = timestep.observation
    return {
        "agent_position": state.agent_position,
        "agent_direction": state.agent_direction,
        "agent_held": state.agent_held,
        "object_kind": state.object_kind,
        "object_position": state.object_position,
        "object_frozen": state.object_frozen,
        "door_state": state.door_state,
        "state_trial": state.trial,
        "state_time": state.time,
        "is_over": state.is_over,
        **{
            field.name: getattr(timestep, field.name)
            for field in dataclasses.fields(timestep)
            if field.name != "observation"
        },
        **{name: value for name, value in vars(observation).items() if value is not None},
    }


def _describe_difference(got: dict[str, np.ndarray], wanted: dict[str, np.ndarray], actions: np.ndarray) -> str:
    steps = len(actions) + 1
    first = min(t for t in range(steps) if any(not np.array_equal(got[name][t], wanted[name][t]) for name in got))
    names = [name for name in got if not np.array_equal(got[name][first], wanted[name][first])]
    parts = [
        f"{name}: environment {got[name][first].tolist()}, oracle {wanted[name][first].tolist()}" for name in names
    ]
    action = f" with actions {actions[first - 1].tolist()}" if first else ""
    return f"After step {first} of {steps - 1}{action}:\n" + "\n".join(parts)


def features(records: list[Record]) -> set[str]:
    """What happened in an episode, by name."""
    found = set()
    for before, after in zip(records, records[1:], strict=False):
        if after["is_trial_first"]:
            found.add("trial boundary")
        if any(after["reward"]):
            found.add("goal")
        if before["is_over"]:
            found.add("past the end")
        if before["goal"] != after["goal"]:
            found.add("another goal")
        if after["event"]:
            found.add("rule")
        if after["event"] > 1:
            found.add("a later rule")
        if after["event"] and before["event"] and after["event"] != before["event"]:
            found.add("chain")
        rules_that_held = [number for number, _ in after["matches"]]
        if len(rules_that_held) > len(set(rules_that_held)):
            found.add("several pairs")
        if len(set(rules_that_held)) > 1:
            found.add("several rules")
        if after["is_trial_first"]:
            continue
        doors = list(zip(before["door_state"], after["door_state"], strict=True))
        found |= {name for name, change in DOOR_CHANGES.items() if change in doors}
        for slot, (kind, new_kind) in enumerate(zip(before["object_kind"], after["object_kind"], strict=True)):
            was_held, is_held = slot in before["agent_held"], slot in after["agent_held"]
            if is_held and not was_held:
                found.add("pick up")
            if was_held and not is_held and new_kind:
                found.add("put down")
            if is_held and new_kind != kind:
                found.add("rule on a held object")
            if kind and not new_kind:
                found.add("object gone")
            if new_kind and not kind:
                found.add("product laid beside")
            if before["object_frozen"][slot] and kind != new_kind:
                found.add("rule on a frozen object")
            moved = before["object_position"][slot] != after["object_position"][slot]
            if kind and new_kind and moved and not was_held and not is_held:
                found.add("push")
        if any(position != [-1, -1] for position in after["agent_position"][1:]) and any(
            np.max(np.array(view)[..., 1]) >= 0xF0 for view in after["view"]
        ):
            found.add("agent in view")
    return found


DOOR_CHANGES = {"door unlocked": (2, 0), "door opened": (1, 0), "door closed": (0, 1)}
