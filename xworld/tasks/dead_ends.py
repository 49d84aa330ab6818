"""Dead ends: rules that turn something into kinds that nothing asks for, and need not fire on the way to the goal."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from xworld.core.config import EnvConfig
from xworld.core.hashing import below
from xworld.core.relations import HOLD, NEVER, ON
from xworld.tasks import chance
from xworld.tasks.chains import AGENT, Chain, Conditions, Deck, draw_directions, draw_relation, is_between_things
from xworld.tasks.universe_config import UniverseConfig, rule_relations

_PAIR_PERCENT = 67  # touch, near and see between two objects, one of them needed if possible
_NEEDED_PERCENT = 75
_BOTH_NEEDED_PERCENT = 33


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class DeadEnds:
    """The E dead ends of a game."""

    conditions: Conditions  # [E]
    products: jax.Array  # [E, 3] uint8
    is_active: jax.Array  # [E] bool
    keeps_off: jax.Array  # [2E] uint8, kinds that must not lie in relation e (mod E) to where needed objects are put
    are_distinct: jax.Array  # [] bool, no two have the same condition


def draw_dead_ends(
    env_config: EnvConfig, config: UniverseConfig, deck: Deck, chain: Chain, dice: chance.Dice
) -> DeadEnds:
    """Draws conditions of bait and needed objects that the agent can keep from holding, and products."""
    size = config.num_dead_ends[1]
    is_active = jnp.arange(size) < deck.num_dead_ends
    relation = draw_relation(rule_relations(env_config, config), dice.roll(size))
    directions = draw_directions(config, relation, dice.roll(2, size))

    is_eligible, is_there = _eligible(deck, chain)
    card = jnp.arange(is_eligible.shape[0])
    num_eligible = is_eligible.sum(dtype=jnp.int32)
    has_needed = (num_eligible > 0) & (chance.happens(dice.roll(size), _NEEDED_PERCENT) | (deck.num_bait < 2))
    needed = jax.vmap(chance.nth_true, (None, 0))(is_eligible, below(dice.roll(size), num_eligible))
    # A second needed object lies there from the start, and is asked for by a later condition of the chain.
    is_second = is_eligible & is_there & (card // 2 > needed[:, None] // 2)  # [E, 2C]
    num_second = is_second.sum(axis=1, dtype=jnp.int32)
    is_both_needed = has_needed & (num_second > 0) & chance.happens(dice.roll(size), _BOTH_NEEDED_PERCENT)
    second_needed = jax.vmap(chance.nth_true)(is_second, below(dice.roll(size), num_second))

    # Bait i is card num_chain_cards + i.
    bait = below(dice.roll(size), deck.num_bait).astype(jnp.int32)
    other_bait = (bait + chance.between(dice.roll(size), 1, deck.num_bait - 1)) % jnp.maximum(deck.num_bait, 1)
    bait_kind = deck.cards[deck.num_chain_cards + bait]
    left = deck.cards[jnp.where(has_needed, needed, deck.num_chain_cards + other_bait)]
    right = jnp.where(is_both_needed, deck.cards[second_needed], bait_kind)

    is_pair = is_between_things(relation) & (has_needed | (deck.num_bait > 1))
    is_pair &= chance.happens(dice.roll(size), _PAIR_PERCENT)
    is_swapped = (dice.roll(size) & 1) == 1
    first = jnp.where(is_swapped, right, left)
    second = jnp.where(is_swapped, left, right)
    is_on = relation == ON
    pad = deck.pads[chain.is_pair.shape[0] + jnp.arange(size) % (deck.pads.shape[0] - chain.is_pair.shape[0])]
    conditions = Conditions(
        relation=jnp.where(is_active, relation, NEVER).astype(jnp.uint8),
        directions=directions,
        first=jnp.where(is_pair, first, jnp.where(is_on, bait_kind, jnp.uint8(AGENT))),
        second=jnp.where(is_pair, second, jnp.where(is_on, pad, bait_kind)),
    )
    has_side_product = is_pair & (below(dice.roll(size), config.max_products) == 1)
    is_made = jnp.stack([jnp.ones(size, bool), has_side_product, jnp.zeros(size, bool)], axis=1)
    products = jnp.where(is_made, deck.spare(dice.roll(size, 3)), 0)
    spoils = is_active & is_pair & has_needed
    return DeadEnds(
        conditions=conditions,
        products=products,
        is_active=is_active,
        keeps_off=jnp.concatenate([jnp.where(spoils, right, 0), jnp.where(spoils & is_both_needed, left, 0)]),
        are_distinct=_are_distinct(conditions),
    )


def _eligible(deck: Deck, chain: Chain) -> tuple[jax.Array, jax.Array]:
    """[2C] bool each: cards of needed objects that dead ends may ask for, and which cards lie there at the start.

    A dead end may ask for an object when it comes to lie only where it was at the start and where the agent wants it.
    That is so for what is there from the start, and for what is made in the hand, or of two things the first of which
    the agent has put where it is; not for what is made where something lay when the agent came by. Nor may the object
    have to lie on a pad, whose surroundings are not kept free of bait.
    """
    relation = chain.conditions.relation
    is_active, is_on = relation != NEVER, relation == ON
    is_chosen = [jnp.asarray(True)]  # spine k lies where the agent wants it, or lay there at the start
    is_put = jnp.asarray(False)
    for k in range(1, relation.shape[0]):
        pair_is_put = chain.is_spine_first[k - 1] & is_put if k > 1 else jnp.asarray(True)
        by_agent_is_put = (relation[k - 1] == HOLD) | (is_put & ~is_on[k - 1])
        is_put = jnp.where(chain.is_pair[k - 1], pair_is_put, by_agent_is_put)
        is_chosen.append(is_put)
    spine = is_active & ~is_on & jnp.stack(is_chosen)
    eligible = jnp.stack([spine, chain.is_pair], axis=1).reshape(-1) & ~chain.is_negated
    is_there = jnp.arange(eligible.shape[0]) % 2 == 1
    return eligible, is_there.at[0].set(True)


def _are_distinct(conditions: Conditions) -> jax.Array:
    """[] bool: no two that are not padding have the same relation and kinds; one would get in the other's way."""
    lower, higher = jnp.minimum(conditions.first, conditions.second), jnp.maximum(conditions.first, conditions.second)
    fields = jnp.stack([conditions.relation, lower, higher], axis=1)
    is_equal = (fields[:, None] == fields[None, :]).all(axis=2) & (conditions.relation != NEVER)
    return ~(is_equal & (jnp.arange(fields.shape[0])[:, None] < jnp.arange(fields.shape[0]))).any()
