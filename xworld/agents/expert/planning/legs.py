"""What may be done next: the legs that what is wished for asks for, and those that clear the way to it."""

from collections.abc import Iterator

from xworld.agents.expert.planning.moves import WIDEST, Breadth, Leg, Mover
from xworld.agents.expert.planning.regression import Regression, Wish, spread
from xworld.agents.expert.world.ground import members
from xworld.agents.expert.world.model import Model
from xworld.agents.expert.world.situation import Situation
from xworld.core import kinds
from xworld.core.step.actions import TOGGLE

_IN_THE_WAY = 4  # steps that an object or an agent in the way costs, roughly
_LOCKED_DOOR = 8


def legs(model: Model, regression: Regression, situation: Situation, breadth: Breadth) -> list[Leg]:
    """What may be done next."""
    wishes = regression.wishes(situation, breadth.is_thorough)
    found: dict[tuple[int, ...], Leg] = {}
    for agent in model.agents:
        others = [other for other in model.agents if other != agent]
        careful = Mover(model, situation, agent, breadth, regression.harmless)
        for leg in _all_legs(careful, wishes, others):
            found.setdefault((leg.agent, leg.cell, leg.direction, leg.last), leg)
    return list(found.values())


def _all_legs(mover: Mover, wishes: list[Wish], others: list[int]) -> Iterator[Leg]:
    """The legs for all wishes and for the whole goal."""
    yield from mover.go(mover.model.goal_poses(mover.situation, mover.agent))
    if mover.held >= 0:
        yield from _unlock_any(mover)
    for wish in wishes:
        direct = list(mover.for_wish(wish))
        if not direct and mover.harmless is not None:
            direct = list(Mover(mover.model, mover.situation, mover.agent, mover.breadth, None).for_wish(wish))
        if not direct or mover.breadth.is_thorough:
            direct += mover.lay_aside(wish)
        yield from direct
        yield from _make_way(mover, wish)
        if others:
            yield from mover.help(wish, others)
    if mover.breadth is WIDEST:
        if mover.held < 0:
            for slot in mover.layout.at.values():
                yield from mover.take(slot)
                yield from mover.push(slot)
        else:
            yield from mover.put(mover.storable)


def _make_way(mover: Mover, wish: Wish) -> Iterator[Leg]:
    """Deal with the first thing in the way to what a wish is about: carry or push it off, or open a locked door."""
    for kind in wish.condition[2:]:
        cells = mover.ground.floor_kinds.get(kind) or mover.layout.lying.get(kind, 0)
        yield from _clear_way_to(mover, cells, frozenset())


def _clear_way_to(mover: Mover, goal: int, opened: frozenset[int]) -> Iterator[Leg]:
    """Opens the way to some cells. `opened` are doors whose keys are being fetched already."""
    if not goal or goal & (mover.walk.cells | mover.ground.beside(mover.walk.cells, 15)):
        return
    movable = sum(1 << cell for cell, slot in mover.layout.at.items() if not mover.situation.frozen >> slot & 1) & (
        mover.ground.floor | mover.ground.storable
    )
    locked = {door: state for door, state in mover.doors() if state == kinds.LOCKED}
    shut = sum(1 << door for door, state in mover.doors() if state == kinds.CLOSED)
    slow = [
        (movable & ~goal, _IN_THE_WAY),
        (mover.bodies, _IN_THE_WAY),
        (sum(1 << door for door in locked), _LOCKED_DOOR),
    ]
    distances = spread(mover.ground.beside, goal, mover.free | shut, slow)
    cell = mover.situation.cells[mover.agent]
    if cell not in distances:
        return
    # Along the way from the agent to the goal: the first thing that cannot be walked through.
    way = 0
    while distances[cell]:
        cell = min(
            (ahead for ahead in members(mover.ground.beside(1 << cell, 15)) if ahead in distances),
            key=lambda ahead: (distances[ahead], ahead),
        )
        way |= 1 << cell
    for cell in sorted(members(way), key=lambda cell: -distances[cell]):
        if cell in mover.layout.at:
            yield from _remove(mover, mover.layout.at[cell], way)
            return
        if mover.bodies >> cell & 1:
            yield from _send_away(mover, mover.situation.cells.index(cell), way)
            return
        if cell in locked and cell not in opened:
            yield from _unlock(mover, cell, opened | {cell})
            return


def _unlock_any(mover: Mover) -> Iterator[Leg]:
    """Open a locked door with the key in the hand."""
    kind = mover.situation.kinds[mover.held]
    for number, state in enumerate(mover.situation.doors):
        if state == kinds.LOCKED and kinds.KEY * 16 + mover.ground.door_colours[number] == kind:
            for found in mover.walk.nearest_before(1 << mover.ground.doors[number]):
                yield mover.leg(*found, TOGGLE)


def _remove(mover: Mover, slot: int, way: int) -> Iterator[Leg]:
    """Takes a thing out of the way, or pushes it."""
    yield from mover.take(slot)
    yield from mover.push(slot)
    if mover.held >= 0:
        cells = mover.quiet(mover.situation.kinds[mover.held], mover.storable & ~way, None)
        yield from mover.put(cells)


def _send_away(mover: Mover, other: int, way: int) -> Iterator[Leg]:
    """Has another agent step aside."""
    aside = Mover(mover.model, mover.situation, other, mover.breadth, mover.harmless)
    yield from aside.go((~way & mover.ground.inside,) * 4)


def _unlock(mover: Mover, door: int, opened: frozenset[int]) -> Iterator[Leg]:
    """Fetches the key of a locked door; `_unlock_any` opens it."""
    key = kinds.KEY * 16 + mover.ground.door_colours[mover.ground.doors.index(door)]
    if mover.held >= 0:
        if mover.situation.kinds[mover.held] != key:
            yield from mover.drop()
        return
    ways = list(mover.take_any(key))
    yield from ways
    if not ways:
        yield from _clear_way_to(mover, mover.layout.lying.get(key, 0), opened)
