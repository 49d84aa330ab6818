"""Best-first search over legs: which agent goes where and does what, until the goal holds and goes on holding."""

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from time import thread_time

from xworld.agents.expert.planning.legs import legs
from xworld.agents.expert.planning.moves import NARROW, WIDE, WIDEST, Breadth, Leg
from xworld.agents.expert.planning.regression import OUT_OF_REACH, Regression
from xworld.agents.expert.world.model import Model
from xworld.agents.expert.world.situation import Situation
from xworld.core.step.actions import NOOP

_SETTLE = 12  # steps of chain reactions that are waited for
_BONUS = 40  # actions that a step on which the goal held is worth


@dataclass(frozen=True)
class Effort:
    """How much is looked at."""

    breadth: Breadth
    greed: float  # how much more an estimated action counts than one taken
    num_nodes: int  # situations
    num_more: int  # situations once the goal was reached


FIRST_EFFORT = (Effort(NARROW, 1.3, 100, 40),)
MORE_EFFORTS = (
    Effort(NARROW, 4.0, 200, 40),
    Effort(WIDE, 1.5, 150, 20),
    Effort(WIDE, 4.0, 200, 20),
    Effort(WIDEST, 3.0, 300, 20),
)


@dataclass(frozen=True)
class Node:
    """A situation, and how it came about."""

    situation: Situation
    time: int
    parent: "Node | None" = None
    leg: Leg | None = None
    wait: int = 0  # steps that were waited after the leg for rules to have fired
    earned: int = 0  # steps at the ends of legs, and after rules fired, on which the goal held

    def path(self) -> list["Node"]:
        """All nodes from the first on, itself included, without the start."""
        nodes: list[Node] = []
        node: Node | None = self
        while node is not None and node.leg is not None:
            nodes.append(node)
            node = node.parent
        return nodes[::-1]


@dataclass(frozen=True)
class Script:
    """What the agents do, as a model says it will go. After `actions` everybody waits."""

    actions: tuple[dict[int, int], ...]  # at each step, by agent; noop for those left out
    return_: int  # steps on which the goal holds, to the end of the trial
    rules_fired: tuple[int, ...]
    holds_on: bool  # whether the goal holds at the end


def _summary(situation: Situation) -> tuple[object, ...]:
    """The same for situations that differ only in where the agents are, or in which slots equal things have."""
    things = sorted(zip(situation.kinds, situation.places, strict=True))
    return tuple(things), situation.frozen, situation.doors


Found = tuple[Script, list[Node]]  # a plan, and its legs


def perform(model: Model, situation: Situation, actions: Sequence[dict[int, int]]) -> Script:
    """Plays actions and then waits to the end of the trial."""
    return_, fired, is_rewarded = 0, [], False
    for time in range(model.trial_length):
        is_waiting = time >= len(actions)
        before = situation
        situation, event = model.step(situation, {} if is_waiting else actions[time])
        if event:
            fired.append(event - 1)
        is_rewarded = model.is_rewarded(situation)
        return_ += is_rewarded
        if is_waiting and situation == before:  # nothing will change any more
            return_ += is_rewarded * (model.trial_length - time - 1)
            break
    return Script(tuple(actions[: model.trial_length]), return_, tuple(fired), is_rewarded)


def actions_of(nodes: list[Node]) -> list[dict[int, int]]:
    """The actions of a path of nodes."""
    found: list[dict[int, int]] = []
    for node in nodes:
        assert node.leg
        found += [{node.leg.agent: action} for action in node.leg.actions]
        found += [{}] * node.wait
    return found


class Search:
    """Looks for plans for one task."""

    def __init__(self, model: Model, deadline: float) -> None:
        """`deadline` is in the time of `time.thread_time`, which other work on the machine does not move."""
        self.model = model
        self.regression = Regression(model)
        self.deadline = deadline

    def run(self, start: Situation, efforts: Sequence[Effort]) -> Found | None:
        """The best plan found, and its legs; None if there is none.

        One effort is made after the other, until there is a plan after which the goal goes on holding.
        """
        best: Found | None = None
        for effort in efforts:
            found = self._run(start, effort)
            if found and (best is None or found[0].return_ > best[0].return_):
                best = found
            if (best and best[0].holds_on) or thread_time() > self.deadline:
                break
        return best

    def _run(self, start: Situation, effort: Effort) -> Found | None:
        model = self.model
        order = itertools.count()  # equal guesses are looked at in the order in which they were found
        first = self._settle(Node(start, 0))
        queue = [(self.regression.estimate(first.situation), next(order), first)]
        if first.time:  # rules fire at once; perhaps something can be done before they do
            queue.append((0.0, next(order), Node(start, 0)))
        best = self._finish(start, first)
        limit = effort.num_more if best else effort.num_nodes
        visited: dict[tuple[object, ...], list[int]] = {}
        while queue and limit > 0 and thread_time() < self.deadline:
            _, _, node = heapq.heappop(queue)
            times = visited.setdefault((_summary(node.situation), node.earned), [])
            if len(times) == len(model.agents) or node.time in times or self._is_too_late(node, best):
                continue
            times.append(node.time)
            limit -= 1
            for leg in legs(model, self.regression, node.situation, effort.breadth):
                child = self._follow(node, leg)
                if child is None or self._is_too_late(child, best):
                    continue
                found = self._finish(start, child) if child.earned > node.earned else None
                if found and (best is None or found[0].return_ > best[0].return_):
                    # Where the goal does not go on holding, there is more to be had.
                    limit = limit if best or 2 * found[0].return_ < self._hope(child) else min(limit, effort.num_more)
                    best = found
                estimate = self.regression.estimate(child.situation)
                if estimate < OUT_OF_REACH:
                    guess = child.time + effort.greed * estimate - _BONUS * child.earned
                    heapq.heappush(queue, (guess, next(order), child))
        return best

    def _is_too_late(self, node: Node, best: Found | None) -> bool:
        """Whether all the rest of the trial would earn no more than what is known."""
        return self._hope(node) <= (best[0].return_ if best else 0)

    def _hope(self, node: Node) -> int:
        """The most that a plan which goes on from here can earn, but for what was earned in passing."""
        return self.model.trial_length - node.time + node.earned

    def _finish(self, start: Situation, node: Node) -> Found | None:
        """The plan that waits from this node on, if it earns anything."""
        nodes = node.path()
        script = perform(self.model, start, actions_of(nodes))
        return (script, nodes) if script.return_ else None

    def _follow(self, node: Node, leg: Leg) -> Node | None:
        """The node after a leg, or None if it changes nothing."""
        model, situation, time = self.model, node.situation, node.time
        before, earned = situation, node.earned
        for number, action in enumerate(leg.actions, 1):
            before = situation
            situation, event = model.step(situation, {leg.agent: action})
            time += 1
            if event or number == len(leg.actions):
                earned += model.is_rewarded(situation)
            if event and event - 1 not in self.regression.harmless and number < len(leg.actions):
                cell, direction = situation.cells[leg.agent], situation.directions[leg.agent]
                leg = Leg(leg.agent, cell, direction, NOOP, leg.actions[:number])
                break
        if situation == before and leg.last != NOOP:
            return None
        return self._settle(Node(situation, time, node, leg, earned=earned))

    def _settle(self, node: Node) -> Node:
        """The node after waiting while rules fire."""
        situation, wait, earned = node.situation, 0, node.earned
        while wait < _SETTLE and self.model.next_rule(situation) < len(self.model.rules):
            situation, _ = self.model.step(situation, {})
            earned += self.model.is_rewarded(situation)
            wait += 1
        return Node(situation, node.time + wait, node.parent, node.leg, wait, earned)
