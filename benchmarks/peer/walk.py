"""The same walks in XLand-MiniGrid and here, and what each step's differences, if any, come from.

Both take the same action in the same state. What may differ after it is decided by that state and the action alone:
which rules hold (`Holding`) and which of them the peer asks. Where no documented difference applies both have to be
equal; where one does, this simulator goes on from the peer's state.
"""

import collections
import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import xminigrid
from xminigrid.core.actions import take_action
from xminigrid.core.rules import check_rule
from xminigrid.types import AgentState, EnvCarry, RuleSet, StepType
from xminigrid.types import State as PeerState
from xminigrid.types import TimeStep as PeerTimeStep

from xworld import Env, State
from xworld.core import kinds
from xworld.core.step import actions as ours
from xworld.core.step.relations import HOLD, NEVER, TOUCH
from xworld.core.types import HAND, NOWHERE
from xworld.tasks.xland_minigrid import RulesetArrays, from_xland_minigrid, xland_minigrid_config
from xworld.tasks.xland_minigrid import translation as xland
from xworld.tasks.xland_minigrid.translation import GOAL_FORMS, RULE_FORMS, Translation, translate

# What can be said of a step. The last three are documented differences.
SAME, FAILURE = "equal", "failure"
PLACE = "equal but for the place of what is made of two things"
UNASKED = "a rule holds that the peer does not ask after this action"
SEVERAL = "several rules or pairs hold, or what one makes sets off the next"
CODES_PER_TILE = 16  # a tile and its colour as one number
STEPS = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])
_WEIGHTS = {
    ours.FORWARD: 0.4,
    ours.TURN_RIGHT: 0.1,
    ours.TURN_LEFT: 0.1,
    ours.PICK_UP: 0.17,
    ours.PUT_DOWN: 0.17,
    ours.TOGGLE: 0.06,
}


@dataclass
class Walk:
    """T steps in S rulesets; grids, poses and pockets have one entry more, for the start."""

    actions: np.ndarray  # [T, S]
    grids: np.ndarray  # [T + 1, S, H, W, 2] of the peer
    poses: np.ndarray  # [T + 1, S, 3] row, column, direction
    pockets: np.ndarray  # [T + 1, S, 2]
    is_reached: np.ndarray  # [T, S] bool, whether the peer says that the goal is
    verdicts: list[list[str]]  # [T][S]
    firings: list[int]  # the peer's numbers of rules of which a firing was agreed on
    goals_reached: list[int]  # and of goals
    num_goals_unasked: int  # steps on which the goal holds and the peer does not ask
    avoided: collections.Counter[str]  # actions not taken as they are known to differ


@dataclass
class Scene:
    """The peer's states of S walks."""

    grid: np.ndarray  # [S, H, W, 2] uint8
    pose: np.ndarray  # [S, 3] row, column, direction
    pocket: np.ndarray  # [S, 2] uint8

    def ahead(self) -> np.ndarray:
        """[S, 2] the cells that agents face."""
        return self.pose[:, :2] + STEPS[self.pose[:, 2]]


def walk(rulesets: RulesetArrays, world: str, num_steps: int, seed: int) -> Walk:
    """Random walks through all rulesets, one each."""
    config = xland_minigrid_config(rulesets, world)
    env = Env(config)
    tasks = from_xland_minigrid(rulesets, config, world, trial_length=num_steps + 1).task_set(seed).tasks
    num = len(rulesets.goals)
    state, _ = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(seed), num), tasks)
    mirror = Mirror(translate(rulesets), state)
    scene = mirror.scene(state)
    peer, step = Peer(rulesets, world, num_steps), jax.jit(jax.vmap(env.step))
    judge = Judge(rulesets)
    draw = np.random.default_rng(seed)
    result = Walk(*(np.zeros(0),) * 5, [], [], [], 0, collections.Counter())
    actions, scenes, reached = [], [scene], []
    for _ in range(num_steps):
        chosen = _choose(draw, scene, state, result.avoided)
        state, timestep = step(state, chosen[:, None])
        acted, after, position, num_changed, is_reached = peer.step(scene, chosen)
        here = mirror.scene(state)
        verdicts = judge.verdicts(chosen, acted, after, here, position, num_changed)
        is_same = np.array([verdict == SAME for verdict in verdicts])
        result.firings += rulesets.rules[is_same][num_changed[is_same] > 0][:, 0].tolist()
        is_paid = np.asarray(timestep.reward[:, 0]) > 0
        for index in np.flatnonzero(is_same & (is_reached | is_paid)):
            if is_reached[index] and is_paid[index]:
                result.goals_reached.append(int(rulesets.goals[index, 0]))
            elif is_reached[index] or judge.is_goal_asked(index, chosen[index], after, position[index]):
                verdicts[index] = f"{FAILURE}: goal {rulesets.goals[index, 0]} only in one"
            else:
                result.num_goals_unasked += 1
        is_floor_held = after.pocket[:, 0] == xland.FLOOR  # a hand from which things vanished is full there
        result.avoided["holding what vanished"] += int(is_floor_held.sum())
        after.pocket[is_floor_held] = 0
        if not is_same.all():
            state = mirror.follow(state, after, ~is_same)
        scene = after
        actions.append(chosen)
        scenes.append(scene)
        reached.append(is_reached)
        result.verdicts.append(verdicts)
    result.actions, result.is_reached = np.stack(actions), np.stack(reached)
    result.grids = np.stack([scene.grid for scene in scenes])
    result.poses = np.stack([scene.pose for scene in scenes])
    result.pockets = np.stack([scene.pocket for scene in scenes])
    return result


def _choose(draw: np.random.Generator, scene: Scene, state: State, avoided: collections.Counter[str]) -> np.ndarray:
    """[S] random actions; more often than not a thing ahead is picked up, and put down again beside another.

    A turn takes the place of what goal tiles, which are objects here, are known to do otherwise.
    """
    walks = np.arange(len(scene.pose))
    actions = draw.choice(list(_WEIGHTS), size=len(walks), p=list(_WEIGHTS.values()))
    ahead = scene.ahead()
    tile_ahead = scene.grid[walks, ahead[:, 0], ahead[:, 1], 0]
    is_goal_ahead = tile_ahead == xland.GOAL
    is_there = (np.asarray(state.object_position) == ahead[:, None]).all(-1)
    is_loose = (is_there & (np.asarray(state.object_frozen) == 0)).any(-1)
    around = np.clip(ahead[:, None] + STEPS, 0, scene.grid.shape[1] - 1)  # [S, 4, 2]
    is_company = np.isin(scene.grid[walks[:, None], around[..., 0], around[..., 1], 0], xland.OBJECTS).any(1)
    is_full, is_willing = scene.pocket[:, 0] != 0, draw.random(len(walks)) < 0.6
    actions = np.where(is_willing & ~is_full & is_there.any(-1), ours.PICK_UP, actions)
    actions = np.where(is_willing & is_full & (tile_ahead == xland.FLOOR) & is_company, ours.PUT_DOWN, actions)
    walks_on = is_goal_ahead & (actions == ours.FORWARD)
    picks_up = is_goal_ahead & (actions == ours.PICK_UP) & is_loose
    avoided["walking onto a goal tile"] += int(walks_on.sum())
    avoided["picking up a goal tile that is not frozen"] += int(picks_up.sum())
    return np.where(walks_on | picks_up, ours.TURN_RIGHT, actions)


class Peer:
    """The peer's steps."""

    def __init__(self, rulesets: RulesetArrays, world: str, num_steps: int) -> None:
        """One environment for each ruleset."""
        env, params = xminigrid.make(f"XLand-MiniGrid-{world}", max_steps=num_steps + 1)
        self._rulesets = RuleSet(
            goal=jnp.asarray(rulesets.goals),
            rules=jnp.asarray(rulesets.rules),
            init_tiles=jnp.zeros(len(rulesets.goals)),
        )

        def step(ruleset, grid, pose, pocket, action):
            agent = AgentState(position=pose[:2], direction=pose[2], pocket=pocket)
            state = PeerState(
                key=jax.random.key(0), step_num=jnp.int32(0), grid=grid, agent=agent, goal_encoding=ruleset.goal,
                rule_encoding=ruleset.rules, carry=EnvCarry(),
            )  # fmt: skip
            before = PeerTimeStep(
                state=state, step_type=StepType.MID, reward=jnp.float32(0), discount=jnp.float32(1), observation=None
            )
            after = env.step(params, before, action)
            acted_grid, acted, position = take_action(grid, agent, action)

            def fire(carry, rule):
                new_grid, new_agent = check_rule(rule[None], *carry, action, position)
                changed = (new_grid != carry[0]).any(-1).sum() + (new_agent.pocket != carry[1].pocket).any()
                return (new_grid, new_agent), changed

            _, num_changed = jax.lax.scan(fire, (acted_grid, acted), ruleset.rules)
            return (acted_grid, _pose(acted), acted.pocket), (
                after.state.grid, _pose(after.state.agent), after.state.agent.pocket,
            ), position, num_changed, after.discount == 0  # fmt: skip

        self._step = jax.jit(jax.vmap(step))

    def step(self, scene: Scene, actions: np.ndarray) -> tuple[Scene, Scene, np.ndarray, np.ndarray, np.ndarray]:
        """After the action, after the rules, the cell that rules ask about, what each changed, and is the goal reached.

        The number of cells, or pockets, that each rule changed is [S, R].
        """
        out = self._step(self._rulesets, scene.grid, scene.pose, scene.pocket, actions)
        acted, after, position, num_changed, is_reached = jax.tree.map(np.array, out)
        return Scene(*acted), Scene(*after), position, num_changed, is_reached


def _pose(agent: AgentState) -> jax.Array:
    return jnp.concatenate([agent.position, agent.direction[None]]).astype(jnp.int32)


class Mirror:
    """This simulator's states as the peer's, and back."""

    def __init__(self, translation: Translation, state: State) -> None:
        """Kinds and floors of the tasks at their start."""
        num = len(translation.things)
        self._tile = np.zeros((num, 128, 2), np.uint8)  # of every kind
        self._kind = np.zeros((num, xland.NUM_TILES, xland.NUM_COLOURS), np.uint8)
        everything = np.stack(np.meshgrid(range(xland.NUM_TILES), range(xland.NUM_COLOURS), indexing="ij"), axis=-1)
        for index in range(num):
            self._kind[index] = xland.kind_of_tiles(everything[None], translation.substitute[index : index + 1])[0]
            for tile, colour in np.argwhere(self._kind[index]):
                self._tile[index, self._kind[index, tile, colour]] = tile, colour
        self._is_frozen = np.zeros((num, 128), bool)
        np.put_along_axis(self._is_frozen, np.where(translation.is_frozen, translation.things, 0).astype(int), True, 1)
        self._is_frozen[:, 0] = False
        self._ground = np.zeros((*state.task.terrain.shape, 2), np.uint8)
        terrain = np.asarray(state.task.terrain)
        is_wall, is_floor = terrain >> 4 == kinds.WALL, terrain >> 4 == kinds.FLOOR
        is_marked = terrain == xland.MARK - (kinds.FLOOR_SHAPE - kinds.FLOOR) * 16
        self._ground[is_wall] = xland.WALL, 6
        self._ground[is_floor, 0] = xland.FLOOR
        self._ground[is_floor, 1] = np.where(is_marked, xland.BLACK, (terrain & 15) + 1)[is_floor]

    def scene(self, state: State) -> Scene:
        """The states as the peer has them."""
        kind, place = np.asarray(state.object_kind), np.asarray(state.object_position)
        held, doors = np.asarray(state.agent_held)[:, 0], np.asarray(state.task.door_position).astype(int)
        grid = self._ground.copy()
        terrain, door_state = np.asarray(state.task.terrain), np.asarray(state.door_state)
        tiles = np.take_along_axis(self._tile, kind[..., None].astype(int), axis=1)
        for index, slot in np.argwhere(doors[..., 0] != NOWHERE):
            row, column = doors[index, slot]
            door = (xland.DOOR_OPEN, xland.DOOR_CLOSED, xland.DOOR_LOCKED)[door_state[index, slot]]
            grid[index, row, column] = door, (terrain[index, row, column] & 15) + 1
        index, slot = np.nonzero(place[..., 0] >= 0)
        grid[index, place[index, slot, 0], place[index, slot, 1]] = tiles[index, slot]
        pocket = np.where((held >= 0)[:, None], tiles[np.arange(len(held)), held], 0).astype(np.uint8)
        direction = np.asarray(state.agent_direction).astype(np.int32)
        return Scene(grid, np.concatenate([np.asarray(state.agent_position)[:, 0], direction], axis=1), pocket)

    def follow(self, state: State, scene: Scene, is_followed: np.ndarray) -> State:
        """The states, some of them replaced by what the peer has."""
        old = {field.name: np.array(getattr(state.scene, field.name)) for field in dataclasses.fields(state.scene)}
        doors = np.asarray(state.task.door_position).astype(int)
        for index in np.flatnonzero(is_followed):
            grid, pocket = scene.grid[index], scene.pocket[index]
            lying = self._kind[index][grid[..., 0], grid[..., 1]]
            rows, columns = np.nonzero(lying)
            found = lying[rows, columns]
            rows, columns = rows.tolist(), columns.tolist()
            is_frozen = self._is_frozen[index, found].tolist()
            found = found.tolist()
            if pocket[0]:
                found.append(self._kind[index, pocket[0], pocket[1]])
                rows.append(HAND)
                columns.append(NOWHERE)
                is_frozen.append(False)
            for name, values, empty in (
                ("object_kind", found, 0),
                ("object_row", rows, NOWHERE),
                ("object_column", columns, NOWHERE),
                ("object_frozen", is_frozen, 0),
            ):
                old[name][index] = empty
                old[name][index, : len(values)] = values
            row, column, direction = scene.pose[index]
            old["agent_row"][index], old["agent_column"][index] = row, column
            old["agent_direction"][index] = direction
            is_door = doors[index, :, 0] != NOWHERE
            tiles = grid[doors[index, is_door, 0], doors[index, is_door, 1], 0]
            old["door_state"][index, is_door] = tiles == xland.DOOR_CLOSED
        return dataclasses.replace(state, scene=dataclasses.replace(state.scene, **jax.tree.map(jnp.asarray, old)))


class Judge:
    """Which rules hold, by the peer's own numbers, and whether a difference follows from that."""

    def __init__(self, rulesets: RulesetArrays) -> None:
        """Rulesets of the walks."""
        self._goals, self._rules = rulesets.goals.astype(int), rulesets.rules.astype(int)

    def verdicts(
        self,
        actions: np.ndarray,
        acted: Scene,
        after: Scene,
        here: Scene,
        position: np.ndarray,
        num_changed: np.ndarray,
    ) -> list[str]:
        """[S] what is to be said of a step."""
        pairs = self._holding(acted)
        verdicts = []
        for index, action in enumerate(actions):
            grid, fired = after.grid[index], np.flatnonzero(num_changed[index])
            is_pose_same = (after.pose[index] == here.pose[index]).all()
            pocket = after.pocket[index] * (after.pocket[index, 0] != xland.FLOOR)
            is_pocket_same = (pocket == here.pocket[index]).all()
            is_same = is_pose_same and is_pocket_same and (grid == here.grid[index]).all()
            held = pairs[index]
            asked = [
                self._is_asked(self._rules[index, rule, 0], action, cells, position[index]) for rule, cells in held
            ]
            if not held:
                verdict = SAME if is_same and not len(fired) else f"{FAILURE}: nothing holds"
            elif not len(fired):
                verdict = f"{FAILURE}: a rule that is asked does not fire" if any(asked) else UNASKED
            elif len(held) > 1 or len(fired) > 1:
                verdict = SEVERAL
            elif held[0][0] != fired[0]:
                verdict = f"{FAILURE}: another rule fires"
            elif is_same:
                verdict = SAME
            else:
                swapped = self._swap(grid, held[0], position[index], index)
                is_moved = is_pose_same and is_pocket_same and (swapped == here.grid[index]).all()
                verdict = PLACE if is_moved else f"{FAILURE}: rule {self._rules[index, fired[0], 0]}"
            verdicts.append(verdict)
        return verdicts

    def _swap(self, grid: np.ndarray, held: tuple[int, list], position: np.ndarray, index: int) -> np.ndarray:
        """The grid with what was made of two things where the first operand was, instead of beside the cell asked."""
        rule, cells = held
        if len(cells) < 2:
            return grid
        (first, second), swapped = cells, grid.copy()
        if self._rules[index, rule, 1] == xland.GOAL:
            first, second = second, first
        if tuple(position) == first:
            swapped[first], swapped[second] = grid[second], grid[first]
        return swapped

    def is_goal_asked(self, index: int, action: int, scene: Scene, position: np.ndarray) -> bool:
        """Whether the peer asks for the goal after the action, about a place where it holds."""
        number = self._goals[index, 0]
        form = GOAL_FORMS[number]
        if form.relation == HOLD:
            return action == ours.PICK_UP
        if form.relation != TOUCH:
            return form.has_position or action == ours.FORWARD
        if form.num_tiles == 1:
            return self._is_asked_beside_agent(form.directions, action)
        cells = self._beside(form, self._goals[index, 1:3], self._goals[index, 3:5], scene.grid[index])
        return action == ours.PUT_DOWN and any(tuple(position) in pair for pair in cells)

    def _is_asked(self, number: int, action: int, cells: list, position: np.ndarray) -> bool:
        form = RULE_FORMS[number]
        if form.relation == HOLD:
            return action == ours.PICK_UP
        if form.num_tiles == 1:
            return self._is_asked_beside_agent(form.directions, action)
        return action == ours.PUT_DOWN and tuple(position) in cells

    def _is_asked_beside_agent(self, directions: int, action: int) -> bool:
        return action == ours.FORWARD or (action == ours.PUT_DOWN and directions != 15)

    def _holding(self, scene: Scene) -> list[list[tuple[int, list]]]:
        """[S] for each way in which a rule holds, its index and the one or two cells it is about; a hand has none."""
        codes = scene.grid[..., 0].astype(int) * CODES_PER_TILE + scene.grid[..., 1]
        operands = self._rules[..., 1::2] * CODES_PER_TILE + self._rules[..., 2::2]  # [S, R, 3]
        pocket = scene.pocket[:, 0].astype(int) * CODES_PER_TILE + scene.pocket[:, 1]
        is_there = (codes[:, None, None] == operands[:, :, :2, None, None]).any((3, 4))  # [S, R, 2]
        found: list[list[tuple[int, list]]] = []
        for index in range(len(codes)):
            held = []
            for rule, row in enumerate(self._rules[index]):
                form = RULE_FORMS[row[0]]
                if form.relation == NEVER or (form.num_tiles == 1 and tuple(row[1:3]) == tuple(row[3:5])):
                    continue  # the rule changes nothing
                if form.relation == HOLD:
                    held += [(rule, [])] * int(pocket[index] == operands[index, rule, 0])
                elif form.num_tiles == 1 and is_there[index, rule, 0]:
                    for direction in range(4):
                        cell = tuple(scene.pose[index, :2] + STEPS[direction])
                        if form.directions >> direction & 1 and codes[index][cell] == operands[index, rule, 0]:
                            held.append((rule, [cell]))
                elif form.num_tiles == 2 and is_there[index, rule].all():
                    held += [(rule, pair) for pair in self._beside(form, row[1:3], row[3:5], scene.grid[index])]
            found.append(held)
        return found

    def _beside(self, form: xland.Form, first: np.ndarray, second: np.ndarray, grid: np.ndarray) -> list[list]:
        """The pairs of cells with the first and the second tile so beside each other, each pair once."""
        pairs = []
        for row, column in np.argwhere((grid == first).all(-1)):
            for direction in range(4):
                cell = tuple(np.array([row, column]) + STEPS[direction])
                if form.directions >> direction & 1 and (grid[cell] == second).all():
                    pairs.append([(int(row), int(column)), (int(cell[0]), int(cell[1]))])
        return [pair for place, pair in enumerate(pairs) if pair[::-1] not in pairs[:place]]
