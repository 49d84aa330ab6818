"""Plans made shorter after they were found: without idle waiting, and with agents that act at the same time."""

from collections.abc import Iterator, Sequence

from xworld.agents.expert.planning.search import Script, perform
from xworld.agents.expert.world.model import Model
from xworld.agents.expert.world.situation import Situation

_MOST_OVERLAPS = 16  # ways of letting one part of a plan begin sooner
_ROUNDS = 3

Actions = list[dict[int, int]]  # at each step, by agent


def polish(model: Model, start: Situation, script: Script) -> Script:
    """A plan of the same actions that earns at least as much."""
    for _ in range(_ROUNDS):
        before = script.return_
        script = _drop_waits(model, start, script)
        if len(model.agents) > 1:
            script = _overlap(model, start, script)
        if script.return_ == before:
            break
    return script


def _drop_waits(model: Model, start: Situation, script: Script) -> Script:
    time = 0
    while time < len(script.actions):
        if not script.actions[time]:
            shorter = perform(model, start, [*script.actions[:time], *script.actions[time + 1 :]])
            if shorter.return_ > script.return_:
                script = shorter
                continue
        time += 1
    return script


def _overlap(model: Model, start: Situation, script: Script) -> Script:
    """Lets what one agent does begin while another one is still busy."""
    time = 0
    while time < len(script.actions):
        begin, end = _run_from(script.actions, time)
        for actions in _begun_sooner(script.actions, begin, end):
            sooner = perform(model, start, actions)
            if sooner.return_ > script.return_:
                script = sooner
                break
        time = end
    return script


def _run_from(actions: Sequence[dict[int, int]], time: int) -> tuple[int, int]:
    """The steps from `time` on in which the same agents act."""
    end = time
    while end < len(actions) and actions[end].keys() == actions[time].keys():
        end += 1
    return time, end


def _begun_sooner(actions: Sequence[dict[int, int]], begin: int, end: int) -> Iterator[Actions]:
    """The actions when those from `begin` to `end` begin sooner, the soonest first."""
    actors = actions[begin].keys()
    most = 0
    while most < begin and not actors & actions[begin - most - 1].keys():
        most += 1
    for sooner in range(most, max(most - _MOST_OVERLAPS, 0), -1):
        moved: Actions = [dict(acts) for acts in actions[:begin]]
        for place, acts in enumerate(actions[begin:end], begin - sooner):
            if place < begin:
                moved[place].update(acts)
            else:
                moved.append(dict(acts))
        yield moved + [dict(acts) for acts in actions[end:]]
