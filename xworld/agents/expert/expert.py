"""The expert: a player that knows the hidden rules and the whole state, and plans ahead.

Its plans are made on the host (`planning/`) and played in the simulator before anything is claimed of them. They give
a task's best known return, demonstrations, and a proof that a task can be solved.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import thread_time
from typing import ClassVar

import jax
import numpy as np

from xworld.agents.expert.confirm import confirm, only_goal
from xworld.agents.expert.planning.planner import Planner
from xworld.agents.expert.planning.search import Script
from xworld.base.checks import check_whole
from xworld.base.errors import ConfigError
from xworld.core.env import Env
from xworld.core.step.actions import NOOP
from xworld.core.step.goals import num_goals
from xworld.core.types import RANDOM_FACING, Task
from xworld.tasks import TaskSet
from xworld.tasks.sets.task_set import check_tasks


@dataclass(frozen=True)
class Plan:
    """What all agents do in one trial, confirmed by the simulator."""

    actions: np.ndarray  # [T, A] uint8, T the trial's length
    return_: float  # rewards summed over the trial, mean over the agents that are there
    rules_fired: tuple[int, ...]  # in order


@dataclass(frozen=True)
class NoPlan:
    """That no plan was found."""

    reason: str


@dataclass(frozen=True)
class PlanTable:
    """The plans of n tasks for all D ways in which a trial may begin, on the host.

    A way is a goal, where tasks may have several, with directions in which the agents face.
    """

    goal_ids: np.ndarray  # [D] uint8, which of the task's goals the trial has
    directions: np.ndarray  # [D, A] uint8
    actions: np.ndarray  # [n, D, T, A] uint8, T the longest trial; noop where there is no plan
    returns: np.ndarray  # [n, D] float32, as in `Plan`; 0 where there is none
    can_occur: np.ndarray  # [n, D] bool, False where the task fixes other directions or has fewer goals
    reasons: tuple[str | None, ...]  # [n] why a task has no plan for some ways, else None

    @property
    def mean_returns(self) -> np.ndarray:
        """[n] float32: the mean return over the ways that can occur, each as likely."""
        return ((self.returns * self.can_occur).sum(axis=1) / self.can_occur.sum(axis=1)).astype(np.float32)

    @property
    def is_found(self) -> np.ndarray:
        """[n] bool: whether there is a plan for every way that can occur."""
        return ((self.returns > 0) | ~self.can_occur).all(axis=1)


@dataclass(frozen=True)
class Expert:
    """Plans for tasks of one environment.

    The search is bounded by how much it looks at, so equal tasks get equal plans; `time_limit_s` only stops what takes
    far longer than tasks do. It counts the time that the processor works on the task.

    Raises:
      ConfigError: `time_limit_s` is not above 0.
    """

    version: ClassVar[int] = 1  # raise it when plans change: best returns that are kept are of one version

    env: Env
    time_limit_s: float = 10.0  # seconds for one goal of one task, all directions together

    def __post_init__(self) -> None:
        if not self.time_limit_s > 0:
            raise ConfigError(f"time_limit_s is {self.time_limit_s}; write a number of seconds above 0.")

    def plan(self, task: Task, directions: Sequence[int] | None = None, goal_id: int = 0) -> Plan | None:
        """A plan for one trial, or None if none was found; `attempt` says why."""
        found = self.attempt(task, directions, goal_id)
        return found if isinstance(found, Plan) else None

    def attempt(self, task: Task, directions: Sequence[int] | None = None, goal_id: int = 0) -> Plan | NoPlan:
        """A plan for one trial, or the reason why there is none.

        Args:
          task: one task of the environment.
          directions: [A] directions of the agents at the start; those of the task if not given, north where it leaves
            them to chance.
          goal_id: which of the task's goals the trial has.

        Raises:
          ConfigError: a task of another environment, `directions` that are not A directions from 0 to 3, or a goal that
            the task does not have.
        """
        stacked = jax.tree.map(lambda leaf: np.asarray(leaf)[None], task)
        check_tasks(self.env, stacked)
        facing = np.asarray(task.agent_facing)
        start = np.where(facing == RANDOM_FACING, 0, facing) if directions is None else np.asarray(directions)
        if start.shape != facing.shape or not np.isin(start, range(4)).all():
            raise ConfigError(f"directions is {directions!r}; write {facing.size} of 0, 1, 2, 3, one for each agent.")
        goal_ids = np.array([check_whole("goal_id", goal_id, 0, int(num_goals(task)) - 1)], np.uint8)
        table = self._plan_all(stacked, goal_ids, start[None].astype(np.uint8), None)
        if table.reasons[0] is not None:
            return NoPlan(table.reasons[0])
        actions = table.actions[0, 0]
        chosen = only_goal(stacked, goal_ids)
        events = confirm(self.env, chosen, np.zeros(1, np.int64), table.directions, actions[None]).events[0]
        return Plan(actions, float(table.returns[0, 0]), tuple((events[events > 0] - 1).tolist()))

    def plan_all(self, tasks: Task | TaskSet, report: Callable[[int], None] | None = None) -> PlanTable:
        """Plans for stacked tasks, for all their goals and all ways in which the agents may face.

        Args:
          tasks: leaves [num_tasks, ...].
          report: called with the number of tasks planned so far, after each.

        Raises:
          ConfigError: no tasks, or tasks of another environment.
        """
        stacked = jax.device_get(tasks.tasks if isinstance(tasks, TaskSet) else tasks)
        check_tasks(self.env, stacked)
        # Absent agents face nowhere in particular: north stands for all.
        choices = [range(4) if is_there else (0,) for is_there in stacked.is_present.any(axis=0)]
        directions = np.array(list(itertools.product(*choices)), np.uint8)
        goal_ids = np.repeat(np.arange(self.env.config.max_goals, dtype=np.uint8), len(directions))
        return self._plan_all(stacked, goal_ids, np.tile(directions, (self.env.config.max_goals, 1)), report)

    def best_returns(self, tasks: Task | TaskSet, report: Callable[[int], None] | None = None) -> np.ndarray:
        """[num_tasks] float32: the best known return of a trial, mean over goals and directions; 0 where none is known.

        Args and errors are those of `plan_all`, which also says where there is no plan, and why.
        """
        return self.plan_all(tasks, report).mean_returns

    def _plan_all(
        self, tasks: Task, goal_ids: np.ndarray, directions: np.ndarray, report: Callable[[int], None] | None
    ) -> PlanTable:
        num_tasks, num_ways = len(tasks.trial_length), len(directions)
        length = int(np.asarray(tasks.trial_length).max())
        actions = np.full((num_tasks, num_ways, length, directions.shape[1]), NOOP, np.uint8)
        claims = np.zeros((num_tasks, num_ways), np.float32)  # steps on which all goals hold
        can_occur = _find_ways(tasks, goal_ids, directions)
        is_wanting = np.zeros((num_tasks, *directions.shape), bool)  # the agents whose goals are planned for
        reasons: list[str | None] = []
        for number in range(num_tasks):
            task = jax.tree.map(lambda leaf, number=number: leaf[number], tasks)
            reason: str | None = None
            for goal_id in np.unique(goal_ids[can_occur[number]]).tolist():
                planner = Planner(self.env.config, task, thread_time() + self.time_limit_s, goal_id)
                ways = np.flatnonzero(can_occur[number] & (goal_ids == goal_id))
                is_wanting[number, ways[:, None], list(planner.model.goals)] = True
                scripts = planner.plan([tuple(directions[way].tolist()) for way in ways])
                for way, script in zip(ways, scripts, strict=True):
                    if script is not None:
                        claims[number, way] = script.return_
                        _write(actions[number, way], script)
                reason = reason if all(scripts) else reason or planner.reason()
            reasons.append(reason)
            if report:
                report(number + 1)
        returns = self._confirm_all(tasks, goal_ids, directions, claims, is_wanting, actions, reasons)
        return PlanTable(goal_ids, directions, actions, returns, can_occur, tuple(reasons))

    def _confirm_all(
        self,
        tasks: Task,
        goal_ids: np.ndarray,
        directions: np.ndarray,
        claims: np.ndarray,
        is_wanting: np.ndarray,
        actions: np.ndarray,
        reasons: list[str | None],
    ) -> np.ndarray:
        """[n, D] float32 returns in the simulator. A plan that earns less or more is taken back, with a reason."""
        index, chosen = np.nonzero(claims)
        returns = np.zeros_like(claims)
        if not len(index):
            return returns
        played = only_goal(jax.tree.map(lambda leaf: np.asarray(leaf)[index], tasks), goal_ids[chosen])
        plans = np.arange(len(index))
        is_rewarded = confirm(self.env, played, plans, directions[chosen], actions[index, chosen]).is_rewarded
        together = (is_rewarded | ~is_wanting[index, chosen, None]).all(axis=2).sum(axis=1)
        num_present = np.asarray(tasks.is_present).sum(axis=1)
        returns[index, chosen] = is_rewarded.sum(axis=(1, 2)) / num_present[index]
        for number, turn, steps in zip(index.tolist(), chosen.tolist(), together.tolist(), strict=True):
            if steps != claims[number, turn]:
                reasons[number] = (
                    f"The plan is rewarded on {steps} steps in the simulator, not {claims[number, turn]:g}: the "
                    "planner's model is wrong about this task."
                )
                returns[number, turn] = 0
                actions[number, turn] = NOOP
        return returns


def _find_ways(tasks: Task, goal_ids: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """[n, D] bool: which of D ways can occur in n tasks; what `attempt` asks for is planned even if it cannot."""
    num_tasks, num_ways = len(tasks.trial_length), len(directions)
    if num_ways == 1:
        return np.ones((num_tasks, 1), bool)
    is_absent = ~np.asarray(tasks.is_present)[:, None]  # [n, 1, A]
    facing = np.asarray(tasks.agent_facing)[:, None]
    is_free = is_absent & (directions == 0) | ~is_absent & (facing == RANDOM_FACING)
    return (is_free | (facing == directions)).all(axis=2) & (goal_ids < np.asarray(jax.vmap(num_goals)(tasks))[:, None])


def _write(actions: np.ndarray, script: Script) -> None:
    """Writes a script into [T, A] noops."""
    for time, acts in enumerate(script.actions):
        for agent, action in acts.items():
            actions[time, agent] = action
