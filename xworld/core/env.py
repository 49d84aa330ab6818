"""The environment: one step of a grid world with production rules, in which trials repeat and memory pays.

Read this file first. `Env.step` is the whole idea; each of its lines is a short file beside this one:
actions (agents act) -> rules (one rule may fire) -> goals (reward) -> time (trials) -> observation.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from xworld.base.checks import check_seed
from xworld.base.hashing import hash_words
from xworld.base.xla.fusion import apart
from xworld.core.config import EnvConfig
from xworld.core.keys import as_key
from xworld.core.step import actions as actions_lib
from xworld.core.step.checks import as_actions, check_task, unshared
from xworld.core.step.goals import goals_of_trial, judge
from xworld.core.step.observation import brief, observe
from xworld.core.step.relations import look_around, trace_sight_lines
from xworld.core.step.rules import fire
from xworld.core.step.slots import count_slots
from xworld.core.types import RANDOM_FACING, Briefing, Scene, State, Task, TimeStep

T = TypeVar("T")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Outcome:
    """What happened in a step, apart from the state it led to."""

    reward: jax.Array  # [A] float32
    event: jax.Array  # [] int32, 1 + the rule that fired, or 0
    is_trial_first: jax.Array  # [] bool
    is_last: jax.Array  # [] bool


@dataclass(frozen=True)
class Env:
    """A universe's physics. Pure and hashable.

    All but `reset` and `briefing` also take a batch, whose axes come last in every array; that is how `VectorEnv` runs
    many environments fast. `jax.vmap` works too.
    """

    config: EnvConfig = field(default_factory=EnvConfig)

    @property
    def num_actions(self) -> int:
        """Actions per agent: forward, turn right, turn left, pick up, put down, toggle, noop."""
        return actions_lib.NUM_ACTIONS

    def reset(self, key: jax.Array, task: Task) -> tuple[State, TimeStep]:
        """Starts an episode of `task`. `key` decides directions at the start of trials, and which goal each trial has.

        Raises:
          ConfigError: the task is for an environment of other sizes, or `key` is none.
        """
        seed = jax.random.bits(as_key(key), dtype=jnp.uint32)
        return self.reset_from_seed(seed, task)

    def reset_from_seed(self, seed: jax.Array | int, task: Task) -> tuple[State, TimeStep]:
        """`reset` with the episode's uint32 seed given directly.

        Raises:
          ConfigError: the task is for an environment of other sizes, or `seed` is a number that is no uint32.
        """
        state = self.start(jnp.uint32(check_seed(seed, "seed")) if isinstance(seed, int) else seed, task)
        no = jnp.zeros(state.time.shape, bool)
        outcome = Outcome(
            reward=jnp.zeros_like(state.last_reward), event=no.astype(jnp.int32), is_trial_first=~no, is_last=no
        )
        return unshared(state), self.timestep(state, outcome, is_first=~no)

    def step(self, state: State, actions: jax.Array) -> tuple[State, TimeStep]:
        """One step.

        Args:
          state: from `reset` or `step`.
          actions: [A] integers, one per agent; outside 0-6 is noop. Absent agents' are ignored.

        Returns:
          The next state and its timestep. After the episode's end nothing changes and nothing is paid.

        Raises:
          ConfigError: actions of another shape, or that are no integers. Shapes are known when it is traced.
        """
        actions = as_actions(actions, state.last_action.shape, "[A]")
        state, outcome = self.advance(state, actions)
        return unshared(state), self.timestep(state, outcome, is_first=jnp.zeros_like(outcome.is_last))

    def advance(self, state: State, actions: jax.Array) -> tuple[State, Outcome]:
        """`step` without the observation: agents act, a rule may fire, goals pay, time passes."""
        config, task = self.config, state.task
        actions = actions_lib.legal_actions(state.scene, actions)
        scene = actions_lib.act(config, task, state.scene, actions)
        sight = look_around(config, task, scene, state.sight_lines)
        scene, aftermath, event = fire(config, task, scene, sight)
        reward = judge(goals_of_trial(task, state.seed, state.trial), scene, aftermath).astype(jnp.float32)

        changes, outcome = _pass_time(state, scene, actions, reward, event)
        return dataclasses.replace(state, **changes), outcome

    def start(self, seed: jax.Array, task: Task, trial: jax.Array | None = None) -> State:
        """The first state of an episode; or, as if nothing had been done before, of its trial `trial`, uint16."""
        check_task(self.config, task)
        task = jax.tree.map(jnp.asarray, task)  # one in the host's memory could not be indexed by what is traced
        trial = jnp.zeros_like(task.num_trials) if trial is None else trial
        return State(
            task=task,
            sight_lines=trace_sight_lines(self.config, task.terrain),
            scene=_start_scene(task, seed, trial),
            trial=trial,
            time=jnp.zeros_like(trial),
            seed=seed,
            last_action=jnp.full(task.agent_facing.shape, actions_lib.NOOP, jnp.uint8),
            last_reward=jnp.zeros(task.agent_facing.shape, jnp.float32),
        )

    def timestep(self, state: State, outcome: Outcome, is_first: jax.Array) -> TimeStep:
        """What the environment hands out about `state`, which a step with this outcome led to."""
        return TimeStep(
            observation=observe(self.config, state),
            reward=outcome.reward,
            discount=jnp.where(outcome.is_last, 0.0, 1.0).astype(jnp.float32),
            is_first=is_first,
            is_trial_first=outcome.is_trial_first,
            is_last=outcome.is_last,
            event=outcome.event,
        )

    def briefing(self, task: Task) -> Briefing:
        """What each agent is told at the start: its goal, and the rules with what is hidden masked.

        Where a task may have several goals, observations tell that of the trial instead.
        """
        check_task(self.config, task)
        return brief(self.config, task)


@apart
def _pass_time(
    state: State, scene: Scene, actions: jax.Array, reward: jax.Array, event: jax.Array
) -> tuple[dict[str, Any], Outcome]:
    """What changes in the state, after a step that led to `scene`: the time, and at a trial's end everything."""
    task, was_over = state.task, state.is_over
    time = state.time + 1
    is_trial_over = time == task.trial_length
    is_last = is_trial_over & (state.trial + 1 == task.num_trials)
    is_next_trial = is_trial_over & ~is_last & ~was_over
    trial = state.trial + is_next_trial.astype(jnp.uint16)
    outcome = Outcome(
        reward=jnp.where(was_over, 0, reward),
        event=jnp.where(was_over, 0, event),
        is_trial_first=is_next_trial,
        is_last=is_last | was_over,
    )
    before = {name: getattr(state, name) for name in ("scene", "trial", "time", "last_action", "last_reward")}
    after = {
        "scene": select(is_next_trial, _start_scene(task, state.seed, trial), scene),
        "trial": trial,
        "time": jnp.where(is_next_trial, jnp.uint16(0), time),
        "last_action": actions,
        "last_reward": reward,
    }
    return select(was_over, before, after), outcome


def _start_scene(task: Task, seed: jax.Array, trial: jax.Array) -> Scene:
    """The scene at the start of a trial: all as the task has it, directions by hash unless the task fixes them."""
    agents = count_slots(task.agent_facing.shape[0], seed)
    drawn = (hash_words(seed, trial, agents) >> 30).astype(jnp.uint8)
    return Scene(
        agent_row=task.agent_position[:, 0],
        agent_column=task.agent_position[:, 1],
        agent_direction=jnp.where(task.agent_facing == RANDOM_FACING, drawn, task.agent_facing),
        object_kind=task.object_kind,
        object_row=task.object_position[:, 0],
        object_column=task.object_position[:, 1],
        object_frozen=task.object_frozen,
        door_state=task.door_state,
    )


def select(condition: jax.Array, true: T, false: T) -> T:
    """`true` where the condition holds, else `false`, leaf by leaf."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), true, false)
