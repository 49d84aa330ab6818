"""All plans for one task: those for one way of facing at the start help to find those for the others."""

from time import thread_time

from xworld.agents.expert.planning.everything import try_everything
from xworld.agents.expert.planning.moves import NARROW, Mover
from xworld.agents.expert.planning.polish import polish
from xworld.agents.expert.planning.regression import OUT_OF_REACH
from xworld.agents.expert.planning.search import FIRST_EFFORT, MORE_EFFORTS, Found, Node, Script, Search, perform
from xworld.agents.expert.planning.shortest import Field, Setting, Shortest
from xworld.agents.expert.world.model import Model
from xworld.agents.expert.world.situation import Situation
from xworld.core.config import EnvConfig
from xworld.core.types import Task

_LONGER = 8  # times a trial's length, to see what could be done if there were more time
_FAR_TOO_LONG = 1.5  # times a trial's length: a plan so long is not worth making shorter
_MOST_SEARCHES = 4  # starts that are searched from; to the others the plans found are fitted


class Planner:
    """Plans for one goal of one task."""

    def __init__(self, config: EnvConfig, task: Task, deadline: float, goal_id: int = 0) -> None:
        """`deadline` is in the time of `time.thread_time`; `goal_id` says which of several goals it is."""
        self.model = Model(config, task, goal_id)
        self._search = Search(self.model, deadline)
        self._has_tried = False
        self._num_steps = 0  # of a plan for a longer trial
        self._fields: dict[tuple[object, ...], dict[Setting, Field]] = {}

    def plan(self, ways: list[tuple[int, ...]]) -> list[Script | None]:
        """The best plans known for starts in which the agents face these ways; None where there is none."""
        starts = [self.model.start(directions) for directions in ways]
        routes: list[list[Node]] = []
        found: dict[Situation, Script] = {}
        for start in starts[:: max(len(starts) // _MOST_SEARCHES, 1)]:
            plan = self._search.run(start, FIRST_EFFORT)
            if not routes and (plan is None or not plan[0].holds_on):
                plan = self._try_harder(start, plan)
            if plan:
                found[start] = plan[0]
                routes.append(plan[1])
        best: list[Script | None] = []
        done: list[tuple[Situation, Script]] = []
        for start in starts:
            script = self._take_over(start, done)
            if script is None and (script := self._fit(start, found.get(start), routes)):
                done.append((start, script))
            best.append(script)
        return best

    def _fit(self, start: Situation, own: Script | None, routes: list[list[Node]]) -> Script | None:
        """The best plan for a start: its own or one that takes another's route, made shorter."""
        scripts = [own] if own else []
        scripts += [script for nodes in routes if (script := self._follow_route(start, nodes))]
        if routes and not scripts:
            plan = self._search.run(start, FIRST_EFFORT + MORE_EFFORTS)
            scripts = [plan[0]] if plan else []
        if not scripts and (last := try_everything(self.model, start, self._search.deadline)):
            scripts = [last]
        return self._improve(start, max(scripts, key=lambda script: script.return_)) if scripts else None

    def _take_over(self, start: Situation, done: list[tuple[Situation, Script]]) -> Script | None:
        """The plan of another start in which those who act face the same way, if it is as good from here."""
        for other, script in done:
            if all(start.directions[agent] == other.directions[agent] for agent in _actors(script)):
                again = perform(self.model, start, script.actions)
                if again.return_ == script.return_:
                    return again
        return None

    def _try_harder(self, start: Situation, plan: Found | None) -> Found | None:
        """A better plan, unless the trial is far too short for any."""
        if self._has_tried:
            return plan
        self._has_tried = True
        longer = self._plan_longer(start)
        if longer:
            self._num_steps = len(longer.actions)
            shorter = perform(self.model, start, longer.actions)
            if shorter.return_:
                plan = plan or (shorter, [])
            if self._num_steps > _FAR_TOO_LONG * self.model.trial_length:
                return plan
        better = self._search.run(start, MORE_EFFORTS)
        return max((found for found in (plan, better) if found), key=lambda found: found[0].return_, default=None)

    def _plan_longer(self, start: Situation) -> Script | None:
        """A plan for a trial that lasts longer."""
        trial_length = self.model.trial_length
        self.model.trial_length = _LONGER * trial_length
        plan = self._search.run(start, FIRST_EFFORT)
        script = self._improve(start, plan[0]) if plan else None
        self.model.trial_length = trial_length
        return script

    def reason(self) -> str:
        """Why there are starts without a plan."""
        model = self.model
        estimate = self._search.regression.estimate(model.start((0,) * len(model.facing)))
        if estimate >= OUT_OF_REACH:
            return "The goal cannot be reached: no rule that could fire makes what it needs."
        if thread_time() > self._search.deadline:
            return "No plan was found in the time allowed."
        if self._num_steps >= model.trial_length:
            return f"The shortest plan found takes {self._num_steps} steps, but a trial has {model.trial_length}."
        return f"No plan was found for a trial of {model.trial_length} steps (a guess at its length: {estimate:.0f})."

    def _follow_route(self, start: Situation, nodes: list[Node]) -> Script | None:
        """The legs of another start's plan, walked to from this one."""
        situation, actions = start, []
        for node in nodes:
            assert node.leg
            leg = node.leg
            poses = [0, 0, 0, 0]
            poses[leg.direction] = 1 << leg.cell
            mover = Mover(self.model, situation, leg.agent, NARROW, self._search.regression.harmless)
            ways = list(mover.go((poses[0], poses[1], poses[2], poses[3]), leg.last))
            if not ways:
                return None
            part = [{leg.agent: action} for action in ways[0].actions] + [{}] * node.wait
            for acts in part:
                situation, _ = self.model.step(situation, acts)
            actions += part
        script = perform(self.model, start, actions)
        return script if script.return_ else None

    def _improve(self, start: Situation, script: Script) -> Script:
        """A plan that earns more, if one is found."""
        script = polish(self.model, start, script)
        actors = _actors(script)
        if len(actors) == 1:
            agent = actors.pop()
            others = start.cells, *(direction for a, direction in enumerate(start.directions) if a != agent)
            fields = self._fields.setdefault((agent, others), {})
            script = Shortest(self._search.regression, agent, start, fields).improve(script)
        return script


def _actors(script: Script) -> set[int]:
    return {agent for acts in script.actions for agent in acts}
