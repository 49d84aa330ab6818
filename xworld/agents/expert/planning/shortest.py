"""The soonest moment at which the goal can hold: breadth-first search over all that one agent can do.

States that differ only in the agent's pose are moved on together, as sets of poses. In small worlds everything is tried
that the rules of the world allow, but for closing doors; what cannot end in time any more is left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from xworld.agents.expert.planning.regression import Regression, Wish
from xworld.agents.expert.planning.search import Script, perform
from xworld.agents.expert.world.ground import Poses, members
from xworld.agents.expert.world.situation import Situation
from xworld.core import kinds
from xworld.core.step.actions import FORWARD, NUM_ACTIONS, PICK_UP, PUT_DOWN, TOGGLE, TURN_LEFT, TURN_RIGHT
from xworld.core.step.relations import HOLD, NEAR, ON, SEE, TOUCH

_AGENTS = kinds.agent_kind(0)
_FAR = 1000  # no way is as long
_SMALL = 40  # cells in which things can lie; in larger worlds only what matters is moved, and only to where it matters
_NUM_SETTINGS_SMALL, _NUM_SETTINGS = 600, 100  # settings that are looked at
_MOST_TRIES = 20  # plans that reach the goal but do not keep it

Setting = tuple[tuple[int, ...], tuple[int, ...], int, tuple[int, ...]]  # a situation without the agents


@dataclass(frozen=True)
class Field:
    """A setting, and what it means for every pose of the agent."""

    situation: Situation  # with the agent anywhere
    walkable: int  # floor and open doors
    free: int  # cells that it can enter
    loud: Poses  # in which a rule fires
    goal: Poses  # in which the goal holds
    aims: tuple[tuple[int, int], ...] | None  # one of these cells has to be within the steps left plus so many


@dataclass(frozen=True)
class Origin:
    """How poses of a setting were reached in a step."""

    poses: Poses
    setting: Setting  # before the step
    action: int | None = None  # None for walking
    start: tuple[int, int] | None = None  # the pose before it, where the action changed that


class Shortest:
    """Looks for a plan for one agent that reaches the goal sooner than a known one. The other agents wait."""

    def __init__(self, regression: Regression, agent: int, start: Situation, fields: dict[Setting, Field]) -> None:
        """`fields` are those known of this agent, with the others where they are; new ones are added."""
        self.model, self.regression = regression.model, regression
        self.agent, self.start = agent, start
        model = self.model
        self._is_small = model.ground.storable.bit_count() <= _SMALL
        self._settings_left = _NUM_SETTINGS_SMALL if self._is_small else _NUM_SETTINGS
        everything = {kind for kind in range(1, _AGENTS)}
        keys = {kinds.KEY * 16 + colour for colour in model.ground.door_colours}
        self._kinds = everything if self._is_small else regression.needed | keys  # what is carried and pushed
        self._conditions = [rule.condition for rule in model.rules if rule.condition.relation]
        self._conditions += [literal.condition for clause in model.goal for literal in clause]
        self._fields = fields
        self._balls: dict[tuple[tuple[int, ...], int], list[int]] = {}
        self._seen: dict[Setting, list[int]] = {}
        self._fresh: list[dict[Setting, Poses]] = []  # [time]
        self._origins: list[dict[Setting, list[Origin]]] = []  # [time]
        self._reached: list[tuple[Setting, Poses]] = []  # in the step being taken, where the goal holds
        self._best: Script | None = None
        self._bound = 0  # the latest moment of a first reward that would be better than the best

    def improve(self, script: Script) -> Script:
        """A better plan than `script`, or the same."""
        self._best = script
        self._bound = self.model.trial_length - script.return_
        for number in script.rules_fired:
            self._kinds |= {*self.model.rules[number].consumed}
        setting: Setting = self.start[:4]
        pose = [0, 0, 0, 0]
        pose[self.start.directions[self.agent]] = 1 << self.start.cells[self.agent]
        self._origins.append({})
        arrived: dict[Setting, list[int]] = {setting: pose}
        tries = 0
        for time in range(self.model.trial_length):
            if time >= self._bound or self._settings_left <= 0 or not arrived or tries > _MOST_TRIES:
                break
            self._fresh.append({})
            self._origins.append({})
            self._reached = []
            arrived = self._take_step(time, arrived)
            for setting, poses in self._reached:
                for direction in range(4):
                    for cell in members(poses[direction]):
                        if time + 1 <= self._bound and tries <= _MOST_TRIES:
                            tries += 1
                            self._consider(time + 1, setting, (cell, direction))
        return self._best

    def _consider(self, time: int, setting: Setting, pose: tuple[int, int]) -> None:
        actions = [{self.agent: action} for action in self._way(time, setting, pose)]
        script = perform(self.model, self.start, actions)
        assert self._best
        if script.return_ > self._best.return_:
            self._best = script
            self._bound = self.model.trial_length - script.return_

    def _take_step(self, time: int, arrived: dict[Setting, list[int]]) -> dict[Setting, list[int]]:
        """All states one step after those that were reached at `time`."""
        following: dict[Setting, list[int]] = {}
        stride = self.model.ground.stride
        for setting, poses in arrived.items():
            seen = self._seen.setdefault(setting, [0, 0, 0, 0])
            field = self._field(setting)
            allowed = self._hopeful(field, self._bound - time)
            n, e, s, w = (poses[d] & ~seen[d] & allowed for d in range(4))
            if not n | e | s | w:
                continue
            for direction, fresh in enumerate((n, e, s, w)):
                seen[direction] |= fresh
            self._fresh[time][setting] = n, e, s, w
            loud = n & field.loud[0], e & field.loud[1], s & field.loud[2], w & field.loud[3]
            if any(loud):
                self._step_exactly(time, setting, loud, following)
                n, e, s, w = n ^ loud[0], e ^ loud[1], s ^ loud[2], w ^ loud[3]
                if not n | e | s | w:
                    continue
            free = field.free
            walked = (
                n >> stride & free | e | w,
                e << 1 & free | n | s,
                s << stride & free | e | w,
                w >> 1 & free | n | s,
            )
            self._land(time + 1, setting, Origin(walked, setting), following)
            for changed, origin in self._changes(setting, field, (n, e, s, w)):
                self._land(time + 1, changed, origin, following)
        return following

    def _step_exactly(self, time: int, setting: Setting, poses: Poses, following: dict[Setting, list[int]]) -> None:
        """Steps from poses in which a rule fires whatever the agent does."""
        for direction in range(4):
            for cell in members(poses[direction]):
                before = self._at(setting, cell, direction)
                for action in range(NUM_ACTIONS):
                    after, _ = self.model.step(before, {self.agent: action})
                    hit = _pose(after.cells[self.agent], after.directions[self.agent])
                    origin = Origin(hit, setting, action, start=(cell, direction))
                    self._add(time + 1, after[:4], origin, following)

    def _land(self, time: int, setting: Setting, origin: Origin, following: dict[Setting, list[int]]) -> None:
        """Adds poses that agents come to in a setting; where a rule holds there, it fires."""
        loud = self._field(setting).loud
        poses = origin.poses
        hits = tuple(poses[d] & loud[d] for d in range(4))
        if any(hits):
            for direction in range(4):
                for cell in members(hits[direction]):
                    after, _ = self.model.fire(self._at(setting, cell, direction))
                    self._add(time, after[:4], replace(origin, poses=_pose(cell, direction)), following)
            poses = poses[0] & ~loud[0], poses[1] & ~loud[1], poses[2] & ~loud[2], poses[3] & ~loud[3]
            if not any(poses):
                return
            origin = replace(origin, poses=poses)
        self._add(time, setting, origin, following)

    def _add(self, time: int, setting: Setting, origin: Origin, following: dict[Setting, list[int]]) -> None:
        seen = self._seen.get(setting)
        if seen and not any(origin.poses[d] & ~seen[d] for d in range(4)):
            return
        found = following.setdefault(setting, [0, 0, 0, 0])
        new = [origin.poses[d] & ~found[d] for d in range(4)]
        if any(new):
            self._origins[time].setdefault(setting, []).append(origin)
            goal = self._field(setting).goal
            reached = new[0] & goal[0], new[1] & goal[1], new[2] & goal[2], new[3] & goal[3]
            if any(reached):
                self._reached.append((setting, reached))
            for direction in range(4):
                found[direction] |= new[direction]

    def _at(self, setting: Setting, cell: int, direction: int) -> Situation:
        cells, directions = list(self.start.cells), list(self.start.directions)
        cells[self.agent], directions[self.agent] = cell, direction
        return Situation(*setting, tuple(cells), tuple(directions))

    def _field(self, setting: Setting) -> Field:
        field = self._fields.get(setting)
        if field is None:
            self._settings_left -= 1
            field = self._fields[setting] = self._make_field(setting)
        return field

    def _make_field(self, setting: Setting) -> Field:
        model, agent = self.model, self.agent
        situation = Situation(*setting, self.start.cells, self.start.directions)
        layout = model.layout(situation)
        walkable = model.walkable(situation.doors)
        free = walkable & ~layout.occupied & ~model.bodies(situation, agent)
        # Rules about other agents hold or do not, wherever this one is.
        others = any(
            model.holds(situation, model.rules[number].condition)
            for number in model.agent_rules(layout)
            if model.rules[number].condition.first != _AGENTS + agent
        )
        if others or model.standing(situation, layout) < len(model.rules):
            loud = model.all_poses
        else:
            found = [0, 0, 0, 0]
            for poses in model.rule_poses(situation, agent).values():
                for direction in range(4):
                    found[direction] |= poses[direction]
            loud = found[0], found[1], found[2], found[3]
        goal, aims = model.goal_poses(situation, agent), self._find_aims(situation)
        return Field(situation, walkable, free, loud, goal, aims)

    def _changes(self, setting: Setting, field: Field, poses: Poses) -> Iterator[tuple[Setting, Origin]]:
        """What the agent can change from these poses: the settings after it."""
        model, ground, situation = self.model, self.model.ground, field.situation
        layout = model.layout(situation)
        held = layout.held[self.agent]
        room = ground.storable & ~layout.occupied & ~model.bodies(situation, self.agent)
        ahead = [ground.shift(poses[direction], direction) for direction in range(4)]
        faced = ahead[0] | ahead[1] | ahead[2] | ahead[3]

        def before(cell: int) -> Poses:
            north, east, south, west = ground.facing(1 << cell)
            return poses[0] & north, poses[1] & east, poses[2] & south, poses[3] & west

        for cell in members(faced & layout.occupied):
            slot = layout.at[cell]
            if situation.frozen >> slot & 1 or situation.kinds[slot] not in self._kinds:
                continue
            if held < 0:
                yield _moved(setting, slot, -1 - self.agent), Origin(before(cell), setting, PICK_UP)
            for direction, delta in enumerate(ground.deltas):
                can_push = model.push and field.walkable >> cell & 1 and room >> cell + delta & 1
                if can_push and ahead[direction] >> cell & 1:
                    start = cell - delta, direction
                    yield _moved(setting, slot, cell + delta), Origin(_pose(cell, direction), setting, FORWARD, start)
        if held >= 0:
            useful = room if self._is_small else room & self._useful_places(field, situation.kinds[held])
            for cell in members(faced & useful):
                yield _moved(setting, held, cell), Origin(before(cell), setting, PUT_DOWN)
        for door, (cell, state) in enumerate(zip(ground.doors, situation.doors, strict=True)):
            key = kinds.KEY * 16 + ground.door_colours[door]
            can_open = state == kinds.CLOSED or (held >= 0 and situation.kinds[held] == key)
            if cell and state != kinds.OPEN and can_open and faced >> cell & 1:
                doors = (*situation.doors[:door], kinds.OPEN, *situation.doors[door + 1 :])
                yield (*setting[:3], doors), Origin(before(cell), setting, TOGGLE)

    def _useful_places(self, field: Field, kind: int) -> int:
        """The cells in which a thing of a kind makes a rule fire, or the goal hold, with what lies about."""
        model = self.model
        lying = model.layout(field.situation).lying
        found = 0
        for condition in self._conditions:
            relation, _, first, second = condition
            if kind not in (first, second):
                continue
            if first >= _AGENTS or second >= _AGENTS:
                return -1
            if relation == ON:
                found |= model.ground.floor_kinds[second]
                continue
            if first == kind:
                found |= model.related_back(condition, lying.get(second, 0))
            if second == kind:
                found |= model.related(condition, lying.get(first, 0))
        return found

    # What can still end in time.

    def _hopeful(self, field: Field, steps_left: int) -> int:
        """The cells from which the goal may be reached in so many steps."""
        if field.aims is None:
            return -1
        found = 0
        for cell, more in field.aims:
            if steps_left + more >= 0:
                balls = self._balls_around(field.situation.doors, cell)
                found |= balls[min(steps_left + more, len(balls) - 1)]
        return found

    def _balls_around(self, doors: tuple[int, ...], cell: int) -> list[int]:
        """[d]: the cells that are at most d steps from a cell."""
        balls = self._balls.get((doors, cell))
        if balls is None:
            balls = [0]
            for end, distance in self.regression.distances(doors, cell).items():
                while len(balls) <= distance:
                    balls.append(balls[-1])
                balls[distance] |= 1 << end
            for distance in range(1, len(balls)):
                balls[distance] |= balls[distance - 1]
            self._balls[doors, cell] = balls
        return balls

    def _find_aims(self, situation: Situation) -> tuple[tuple[int, int], ...] | None:
        """Cells, and how many steps more than are left they may be away. None if anything may help.

        Whatever else is done, one of the wishes has to come true first, and something in it has to be gone to.
        """
        aims: dict[int, int] = {}
        for wish in self.regression.wishes(situation, is_thorough=True):
            found = self._aims_of(situation, wish)
            if found is None:
                return None
            for cell, more in found:
                aims[cell] = max(more, aims.get(cell, -_FAR))
        return tuple(aims.items())

    def _aims_of(self, situation: Situation, wish: Wish) -> list[tuple[int, int]] | None:
        relation, _, first, second = wish.condition
        if wish.is_negated or second >= _AGENTS or first >= _AGENTS and first != _AGENTS + self.agent:
            return None
        places = self._places(situation)
        size = self.model.view_size
        reach = {TOUCH: 1, NEAR: 4, HOLD: 0, SEE: size - 1 + size // 2, ON: 0}[relation]
        ends = (
            [*members(self.model.ground.floor_kinds[second])]
            if relation == ON
            else [place for kind, place in places if kind == second]
        )
        if 0 in ends:  # in some hand
            return None
        if first >= _AGENTS:
            return [(end, reach) for end in ends]
        if relation == SEE:
            reach = _FAR
        starts = [place for kind, place in places if kind == first]
        if 0 in starts:
            return [(end, reach) for end in ends] if relation != SEE else None
        found = []
        pairs = [(a, b) for a in starts for b in ends if a != b]
        for a, b in pairs + ([(b, a) for a, b in pairs] if relation != ON else []):
            between = self.regression.distance(situation.doors, a, b)
            carried = -1 - max(between - 2 - reach, 0)
            pushed = 1 - max(between - reach, 1)
            found.append((a, int(max(carried, pushed, -_FAR))))
        return found

    def _places(self, situation: Situation) -> list[tuple[int, int]]:
        """Kinds and cells of all objects, 0 for a cell of what is held."""
        return [(kind, max(place, 0)) for kind, place in zip(situation.kinds, situation.places, strict=True) if kind]

    # The way there.

    def _way(self, time: int, setting: Setting, pose: tuple[int, int]) -> list[int]:
        """The actions that lead to a pose of a setting at a time."""
        actions = []
        while time:
            action, setting, pose = self._step_before(time, setting, pose)
            actions.append(action)
            time -= 1
        return actions[::-1]

    def _step_before(self, time: int, setting: Setting, pose: tuple[int, int]) -> tuple[int, Setting, tuple[int, int]]:
        cell, direction = pose
        deltas = self.model.ground.deltas
        for origin in self._origins[time][setting]:
            if not origin.poses[direction] >> cell & 1:
                continue
            before = self._fresh[time - 1][origin.setting]
            if origin.start:
                assert origin.action is not None
                return origin.action, origin.setting, origin.start
            if origin.action is not None:
                return origin.action, origin.setting, pose
            loud = self._field(origin.setting).loud
            for action, (here, facing) in (
                (FORWARD, (cell - deltas[direction], direction)),
                (TURN_RIGHT, (cell, (direction - 1) & 3)),
                (TURN_LEFT, (cell, (direction + 1) & 3)),
            ):
                if before[facing] & ~loud[facing] & 1 << here:
                    return action, origin.setting, (here, facing)
        raise AssertionError("A pose was reached from nowhere.")


def _pose(cell: int, direction: int) -> Poses:
    poses = [0, 0, 0, 0]
    poses[direction] = 1 << cell
    return poses[0], poses[1], poses[2], poses[3]


def _moved(setting: Setting, slot: int, place: int) -> Setting:
    slot_kinds, places, frozen, doors = setting
    return slot_kinds, (*places[:slot], place, *places[slot + 1 :]), frozen, doors
