"""The last resort where few things can happen: every action from every situation that can be reached."""

from time import thread_time

from xworld.agents.expert.planning.search import Script, perform
from xworld.agents.expert.world.model import Model
from xworld.agents.expert.world.situation import Situation
from xworld.core.step.actions import NUM_ACTIONS

_MOST = 4_000  # situations; more of them are for planning, not for looking at
_BETWEEN_LOOKS = 256  # situations between two looks at the clock

_Step = tuple[Situation, int]  # what was before, and the action


def try_everything(model: Model, start: Situation, deadline: float) -> Script | None:
    """The plan of one agent that is rewarded first, and on after it if there is one that is; None if none was found.

    It also finds what no rule was meant for: chains of rules that fire by themselves, or things in each other's way.
    """
    if len(model.agents) != 1:
        return None
    (agent,) = model.agents
    came_from: dict[Situation, _Step | None] = {start: None}
    frontier, best = [start], None
    for _ in range(model.trial_length):
        following = []
        for number, situation in enumerate(frontier):
            if number % _BETWEEN_LOOKS == 0 and thread_time() > deadline:
                return best
            for action in range(NUM_ACTIONS):
                after, _ = model.step(situation, {agent: action})
                if after in came_from:
                    continue
                came_from[after] = situation, action
                following.append(after)
                if model.is_rewarded(after):
                    script = perform(model, start, _path(came_from, after, agent))
                    if best is None or script.return_ > best.return_:
                        best = script
                    if script.holds_on:
                        return best
        if len(came_from) > _MOST:
            return best
        frontier = following
    return best


def _path(came_from: dict[Situation, _Step | None], end: Situation, agent: int) -> list[dict[int, int]]:
    """The actions that lead to a situation."""
    actions, step = [], came_from[end]
    while step is not None:
        actions.append({agent: step[1]})
        step = came_from[step[0]]
    return actions[::-1]
