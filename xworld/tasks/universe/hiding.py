"""What the agent is not told: whole rules, kinds or relations, in one of these ways a game."""

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.hashing import Word, below
from xworld.base.xla.fusion import apart
from xworld.base.xla.lookup import put, take
from xworld.core import kinds
from xworld.core.config import EnvConfig
from xworld.core.step.relations import NEVER
from xworld.core.types import MAX_HIDDEN_KINDS, NUM_RELATIONS, Hidden, Rules
from xworld.tasks import chance
from xworld.tasks.universe.config import HIDDEN_WAYS, UniverseConfig


@apart
def draw_hidden(
    env_config: EnvConfig, config: UniverseConfig, rules: Rules, cards: jax.Array, are_two: jax.Array, game_id: Word
) -> Hidden:
    """What is hidden of these rules from agent 0, and from agent 1 if they `are_two`; each has a draw of its own.

    The rules have kinds from [L] `cards`, of which at most 16 are hidden. Where anything is hidden, at least one part
    is. Placeholders are numbered in a random order.
    """
    num_agents = 2 if config.two_player_percent else 1
    agents = jnp.arange(num_agents)
    drawn = jax.vmap(lambda agent: _draw_mask(config, rules, cards, game_id, agent))(agents)
    is_there = (agents == 0) | are_two

    def pad(rows: jax.Array) -> jax.Array:
        there = jnp.where(is_there[:, None], rows, jnp.zeros_like(rows))
        return jnp.pad(there, ((0, env_config.num_agents - num_agents), (0, 0)))

    return jax.tree.map(pad, drawn)


def _draw_mask(config: UniverseConfig, rules: Rules, cards: jax.Array, game_id: Word, agent: jax.Array) -> Hidden:
    """What is hidden from one agent, without an agent axis."""
    dice = chance.Dice(chance.HIDING, 0, game_id, agent)
    ways = np.array([HIDDEN_WAYS.index(way) for way in config.hidden_ways])
    way = take(ways, below(dice.roll(), len(config.hidden_ways)))
    way = jnp.where(chance.happens(dice.roll(), config.hide_percent), way, len(HIDDEN_WAYS))

    def draw_parts(is_there: jax.Array, name: str) -> tuple[jax.Array, jax.Array]:
        """Which parts are hidden if this is the way, and places for the hidden ones in a random order."""
        bits = dice.roll(*is_there.shape)
        is_forced = is_there & (chance.shuffle(bits, is_there) == 0)
        is_hidden = is_there & ((dice.roll(*is_there.shape) & 1 == 1) | is_forced | (config.hide == "all"))
        is_hidden &= way == HIDDEN_WAYS.index(name)
        return is_hidden, chance.shuffle(dice.roll(*is_there.shape), is_hidden)

    hidden_rules, _ = draw_parts(rules.relation != NEVER, "rule")
    in_rules = jnp.concatenate([rules.first, rules.second, rules.products.reshape(-1)])
    hidden_kinds, place = draw_parts((cards[:, None] == in_rules).any(axis=1), "kind")
    kinds_row = put(jnp.where(hidden_kinds, cards, 0), place, jnp.zeros(MAX_HIDDEN_KINDS, jnp.uint8))
    codes = jnp.arange(1, NUM_RELATIONS + 1, dtype=jnp.uint8)
    hidden_relations, place = draw_parts((codes[:, None] == rules.relation).any(axis=1), "relation")
    relations_row = put(jnp.where(hidden_relations, codes, 0), place, jnp.zeros(NUM_RELATIONS, jnp.uint8))
    return Hidden(rules=hidden_rules, kinds=kinds_row, relations=relations_row)


def is_rule_hidden(rules: Rules, hidden: Hidden) -> jax.Array:
    """[A, R] bool, whether anything of a rule is hidden from each agent."""
    fields = jnp.concatenate([rules.first[:, None], rules.second[:, None], rules.products], axis=1)  # [R, 5]
    is_kind = (fields[:, :, None] == hidden.kinds[:, None, None, :]) & (fields[:, :, None] != kinds.NOTHING)
    is_relation = rules.relation[:, None] == hidden.relations[:, None, :]
    return (rules.relation != NEVER) & (hidden.rules | is_kind.any(axis=(2, 3)) | is_relation.any(axis=2))
