"""Cases of XLand-MiniGrid (`pip install -e '.[bench]'`): the same rulesets, worlds, actions and reductions."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xminigrid
from xminigrid.core.constants import Colors, Tiles
from xminigrid.core.goals import AgentHoldGoal, AgentNearGoal, BaseGoal, TileNearGoal
from xminigrid.core.rules import AgentHoldRule, AgentNearRule, BaseRule, TileNearRule
from xminigrid.types import RuleSet
from xminigrid.wrappers import GymAutoResetWrapper

from benchmarks import measure
from benchmarks.measure import Case
from benchmarks.peer.rulesets import EPISODE_LENGTH, Ruleset, World
from xworld.core import kinds
from xworld.core.step.relations import HOLD
from xworld.tasks.language.rows import Literal, RuleRow

_TILES = {
    kinds.BALL: Tiles.BALL,
    kinds.CUBE: Tiles.SQUARE,
    kinds.PYRAMID: Tiles.PYRAMID,
    kinds.KEY: Tiles.KEY,
    kinds.STAR: Tiles.STAR,
    kinds.HEX: Tiles.HEX,
}
_NOTHING = (Tiles.FLOOR, Colors.BLACK)  # what stands there when a rule makes a thing vanish


def make_case(
    labels: dict[str, Any],
    world: World,
    rulesets: RuleSet,
    num_steps: int,
    devices: int,
    has_reset: bool,
) -> Case:
    """Steps of one environment for each of the stacked rulesets, with `GymAutoResetWrapper` or without a reset."""
    env, params = xminigrid.make(f"XLand-MiniGrid-{world.name}", max_steps=EPISODE_LENGTH)
    stepped = GymAutoResetWrapper(env) if has_reset else env
    num_envs = rulesets.goal.shape[0]
    keys = jax.random.split(jax.random.key(0), num_envs)
    first = jax.jit(jax.vmap(lambda ruleset, key: env.reset(params.replace(ruleset=ruleset), key)))(rulesets, keys)

    def run(timestep: Any, inputs: tuple[jax.Array, RuleSet]) -> tuple[Any, Any]:
        actions, rulesets = inputs

        def step_one(ruleset: RuleSet, timestep: Any, action: jax.Array) -> Any:
            return stepped.step(params.replace(ruleset=ruleset), timestep, action)

        def step(timestep: Any, actions: jax.Array) -> tuple[Any, Any]:
            timestep = jax.vmap(step_one)(rulesets, timestep, actions[:, 0])
            outputs = timestep.observation, timestep.reward, timestep.discount, timestep.step_type
            return timestep, outputs

        return measure.scan(step, timestep, actions)

    actions = measure.draw_actions(devices, num_steps, num_envs, num_agents=1)
    state, inputs = jax.tree.map(lambda leaf: leaf.reshape(devices, -1, *leaf.shape[1:]), (first, rulesets))
    return measure.make_case(labels, run, state, (actions, inputs), num_envs * num_steps)


def stack_rulesets(rulesets: Sequence[Ruleset]) -> RuleSet:
    """The rulesets in the peer's encoding, stacked."""
    return RuleSet(
        goal=jnp.asarray(np.stack([encode_goal(ruleset.goal) for ruleset in rulesets])),
        rules=jnp.asarray(np.stack([[encode_rule(rule) for rule in ruleset.rules] for ruleset in rulesets])),
        init_tiles=jnp.asarray(np.array([[tile(kind) for kind in ruleset.kinds] for ruleset in rulesets], np.uint8)),
    )


def encode_goal(goal: Literal) -> np.ndarray:
    """[5] uint8."""
    return np.asarray(make_goal(goal).encode())


def encode_rule(rule: RuleRow) -> np.ndarray:
    """[7] uint8."""
    return np.asarray(make_rule(rule).encode())


def make_goal(goal: Literal) -> BaseGoal:
    """The peer's goal that pays for the same."""
    second = jnp.array(tile(goal.second))
    if goal.relation == HOLD:
        return AgentHoldGoal(tile=second)
    if kinds.is_agent_kind(goal.first):
        return AgentNearGoal(tile=second)
    return TileNearGoal(tile_a=jnp.array(tile(goal.first)), tile_b=second)


def make_rule(rule: RuleRow) -> BaseRule:
    """The peer's rule that does the same."""
    second = jnp.array(tile(rule.second))
    product = jnp.array(tile(rule.products[0]) if rule.products else _NOTHING)
    if rule.relation == HOLD:
        return AgentHoldRule(tile=second, prod_tile=product)
    if kinds.is_agent_kind(rule.first):
        return AgentNearRule(tile=second, prod_tile=product)
    return TileNearRule(tile_a=jnp.array(tile(rule.first)), tile_b=second, prod_tile=product)


def tile(kind: int) -> tuple[int, int]:
    """Both have the same colours in the same order; the peer counts from 1."""
    return _TILES[kind >> 4], (kind & 15) + 1
