"""Best-first search over legs: which agent goes where and does what, until the goal holds and goes on holding."""

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from xworld.core.actions import NOOP
from xworld.evaluation.planning.model import Model, Situation
from xworld.evaluation.planning.moves import NARROW, WIDE, WIDEST, Breadth, Leg, legs
from xworld.evaluation.planning.regression import OUT_OF_REACH, Regression

_SETTLE = 12  # steps of chain reactions that are waited for
_GREED = 1.3  # how much more an estimated action counts than one taken
# How much is looked at: breadth, situations, and how many more once the goal was reached.
_EFFORTS = ((NARROW, 100, 40), (WIDE, 150, 20), (WIDEST, 300, 20))


@dataclass(frozen=True)
class Node:
    """A situation, and how it came about."""

    situation: Situation
    time: int
    parent: "Node | None" = None
    leg: Leg | None = None
    wait: int = 0  # steps that were waited after the leg for rules to have fired

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


Found = tuple[Script, list[Node]]  # a plan, and its legs


def perform(model: Model, situation: Situation, actions: Sequence[dict[int, int]]) -> Script:
    """Plays actions and then waits to the end of the trial."""
    return_, fired = 0, []
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
    return Script(tuple(actions[: model.trial_length]), return_, tuple(fired))


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
        """`deadline` is in the time of `time.monotonic`."""
        self.model = model
        self.regression = Regression(model)
        self.deadline = deadline

    def run(self, start: Situation) -> Found | None:
        """The best plan found, and its legs; None if there is none."""
        for breadth, num_nodes, num_more in _EFFORTS:
            found = self._run(start, breadth, num_nodes, num_more)
            if found or monotonic() > self.deadline:
                return found
        return None

    def _run(self, start: Situation, breadth: Breadth, num_nodes: int, num_more: int) -> Found | None:
        """Looks at `num_nodes` situations at most, and at `num_more` after the goal was reached."""
        model = self.model
        order = itertools.count()  # equal guesses are looked at in the order in which they were found
        first = self._settle(start, 0, None, None)
        queue = [(self.regression.estimate(first.situation), next(order), first)]
        if first.time:  # rules fire at once; perhaps something can be done before they do
            queue.append((0.0, next(order), Node(start, 0)))
        best = self._finish(start, first)
        limit = num_more if best else num_nodes
        visited: dict[tuple[object, ...], int] = {}
        while queue and limit > 0 and monotonic() < self.deadline:
            _, _, node = heapq.heappop(queue)
            key = (*node.situation[:4], node.situation.cells if len(model.agents) > 1 else None)
            if visited.get(key, model.trial_length) <= node.time or self._is_too_late(node, best):
                continue
            visited[key] = node.time
            limit -= 1
            for leg in legs(model, self.regression, node.situation, breadth):
                child = self._follow(node, leg)
                if child is None or self._is_too_late(child, best):
                    continue
                found = self._finish(start, child)
                if found and (best is None or found[0].return_ > best[0].return_):
                    limit = limit if best else min(limit, num_more)
                    best = found
                estimate = self.regression.estimate(child.situation)
                if estimate < OUT_OF_REACH:
                    heapq.heappush(queue, (child.time + _GREED * estimate, next(order), child))
        return best

    def _is_too_late(self, node: Node, best: Found | None) -> bool:
        """Whether all the rest of the trial would earn no more than what is known."""
        return self.model.trial_length - node.time <= (best[0].return_ if best else 0)

    def _finish(self, start: Situation, node: Node) -> Found | None:
        """The plan that ends with this node, if it earns anything."""
        if not self.model.is_rewarded(node.situation):
            return None
        nodes = node.path()
        script = perform(self.model, start, actions_of(nodes))
        return (script, nodes) if script.return_ else None

    def _follow(self, node: Node, leg: Leg) -> Node | None:
        """The node after a leg, or None if it changes nothing."""
        model, situation, time = self.model, node.situation, node.time
        before = situation
        for number, action in enumerate(leg.actions, 1):
            before = situation
            situation, event = model.step(situation, {leg.agent: action})
            time += 1
            if event and event - 1 not in self.regression.harmless and number < len(leg.actions):
                cell, direction = situation.cells[leg.agent], situation.directions[leg.agent]
                leg = Leg(leg.agent, cell, direction, NOOP, leg.actions[:number])
                break
        if situation == before and leg.last != NOOP:
            return None
        return self._settle(situation, time, node, leg)

    def _settle(self, situation: Situation, time: int, parent: Node | None, leg: Leg | None) -> Node:
        """Waits while rules fire."""
        wait = 0
        while wait < _SETTLE and self.model.next_rule(situation) < len(self.model.rules):
            situation, _ = self.model.step(situation, {})
            wait += 1
        return Node(situation, time + wait, parent, leg, wait)
