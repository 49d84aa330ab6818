"""Rules that lead nowhere. They make kinds that nothing asks for, and need not fire on the way to the goal.

A *dead end* consumes something that the goal needs, so that firing it spoils the trial. A *decoy* is about distractors
(and perhaps an agent or a floor) only, and does no harm.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp

from xworld.base.hashing import below
from xworld.base.xla.fusion import apart
from xworld.base.xla.lookup import take
from xworld.core.config import EnvConfig
from xworld.core.step.relations import HOLD, NEVER, ON
from xworld.tasks import chance
from xworld.tasks.universe.chains import Chain, Conditions, Deck, draw_directions, draw_relation, is_between_things
from xworld.tasks.universe.config import UniverseConfig, between_things, rule_relations
from xworld.tasks.universe.team import Team, agent_kind

_DECOY_PAIR_PERCENT = 67  # touch, near and see between two kinds of bait, if there are so many
_BOTH_NEEDED_PERCENT = 33  # dead ends about two objects that the goal needs, if there are so many


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FalseRules:
    """The F dead ends and decoys of a game."""

    conditions: Conditions  # [F]
    is_active: jax.Array  # [F] bool
    is_dead_end: jax.Array  # [F] bool, else a decoy
    keeps_off: jax.Array  # [2F] uint8, kinds that must not lie in relation f (mod F) to where needed objects are put
    are_distinct: jax.Array  # [] bool, no two have the same condition


def max_false_rules(config: UniverseConfig) -> int:
    """Dead ends and decoys in a game at most."""
    return config.num_dead_ends[1] + config.num_decoys[1]


@apart
def draw_false_rules(
    env_config: EnvConfig,
    config: UniverseConfig,
    deck: Deck,
    chains: Chain,
    is_needed: jax.Array,
    team: Team,
    dice: chance.Dice,
) -> FalseRules:
    """Draws conditions of bait and needed objects that agents can keep from holding; [K] bool which chains have these.

    A dead end in a game that has nothing to spoil in such a way becomes a decoy.
    """
    size = max_false_rules(config)
    index = jnp.arange(size)
    is_active = index < deck.num_dead_ends + deck.num_decoys
    of_rules = rule_relations(env_config, config)
    spoiling = between_things(of_rules)

    is_eligible, is_there = jax.vmap(partial(_eligible, deck))(chains)  # [K, 2C]
    is_eligible, is_there = (is_eligible & is_needed[:, None]).reshape(-1), is_there.reshape(-1)
    num_eligible = is_eligible.sum(dtype=jnp.int32)
    is_dead_end = (index < deck.num_dead_ends) & (num_eligible > 0) & bool(spoiling)
    bits = dice.roll(size)
    relation = draw_relation(of_rules, bits)
    if spoiling:
        relation = jnp.where(is_dead_end, draw_relation(spoiling, bits), relation)
    directions = draw_directions(config, relation, dice.roll(2, size))
    needed = jax.vmap(chance.nth_true, (None, 0))(is_eligible, below(dice.roll(size), num_eligible))
    left, right, bait, is_both_needed = _draw_objects(deck, chains, is_dead_end, needed, is_eligible & is_there, dice)

    is_pair = (deck.num_bait > 1) & chance.happens(dice.roll(size), _DECOY_PAIR_PERCENT)
    is_pair = is_between_things(relation) & (is_dead_end | is_pair)
    is_swapped = (dice.roll(size) & 1) == 1
    first = jnp.where(is_swapped, right, left)
    second = jnp.where(is_swapped, left, right)
    is_on = relation == ON
    agent = agent_kind(team.draw(~is_pair & ~is_on, dice.roll(size)))
    conditions = Conditions(
        relation=jnp.where(is_active, relation, NEVER).astype(jnp.uint8),
        directions=directions,
        first=jnp.where(is_pair, first, jnp.where(is_on, bait, agent)),
        second=jnp.where(is_pair, second, jnp.where(is_on, decoy_pad(deck, chains), bait)),
    )
    is_dead_end &= is_active
    return FalseRules(
        conditions=conditions,
        is_active=is_active,
        is_dead_end=is_dead_end,
        keeps_off=jnp.concatenate([jnp.where(is_dead_end, right, 0), jnp.where(is_both_needed, left, 0)]),
        are_distinct=_are_distinct(conditions),
    )


def _draw_objects(
    deck: Deck, chains: Chain, is_dead_end: jax.Array, needed: jax.Array, is_lying: jax.Array, dice: chance.Dice
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """[F] uint8 each: two objects for a pair, and bait for what is no pair; and [F] bool, whether the goal needs both.

    Of a dead end's pair the goal needs the first, and sometimes the second; the rest is bait.

    Args:
      deck: the cards.
      chains: [K] of them.
      is_dead_end: [F] bool, else a decoy.
      needed: [F] int32, which of the chains' objects, in the order of `_objects_of`, a goal needs.
      is_lying: [K * 2C] bool, those that dead ends may ask for and that lie there at the start.
      dice: chance.
    """
    objects, size, number = _objects_of(chains), is_dead_end.shape[0], jnp.arange(is_lying.shape[0])
    # A second needed object lies there from the start, and is asked for by a later condition of the same chain.
    is_second = is_lying & (number // 2 > needed[:, None] // 2)  # [F, K * 2C]
    num_objects = objects.shape[0] // chains.is_pair.shape[0]
    is_second &= number // num_objects == needed[:, None] // num_objects
    num_second = is_second.sum(axis=1, dtype=jnp.int32)
    is_both_needed = is_dead_end & (num_second > 0) & chance.happens(dice.roll(size), _BOTH_NEEDED_PERCENT)
    second_needed = jax.vmap(chance.nth_true)(is_second, below(dice.roll(size), num_second))

    # Bait i is card num_chain_cards + i.
    bait = below(dice.roll(size), deck.num_bait).astype(jnp.int32)
    other_bait = (bait + chance.between(dice.roll(size), 1, deck.num_bait - 1)) % jnp.maximum(deck.num_bait, 1)
    bait_kind = take(deck.cards, deck.num_chain_cards + bait)
    left = jnp.where(is_dead_end, take(objects, needed), take(deck.cards, deck.num_chain_cards + other_bait))
    right = jnp.where(is_both_needed, take(objects, second_needed), bait_kind)
    return left, right, bait_kind, is_both_needed


def _objects_of(chains: Chain) -> jax.Array:
    """[K * 2C] uint8, kinds of all objects of chains: spine 0, partner 0, spine 1 and so on, chain after chain."""
    return jnp.stack([chains.spine, chains.partner], axis=-1).reshape(-1)


def decoy_pad(deck: Deck, chains: Chain) -> jax.Array:
    """[] uint8, the kind of floor that decoys ask for."""
    return deck.pads[min(chains.is_pair.size, deck.pads.size - 1)]


def _eligible(deck: Deck, chain: Chain) -> tuple[jax.Array, jax.Array]:
    """[2C] bool each: objects of a chain that dead ends may ask for, and which of all lie there at the start.

    A dead end may ask for an object when it comes to lie only where it was at the start and where the agent wants it.
    That is so for what is there from the start, and for what is made in the hand, or of two things the first of which
    the agent has put where it is; not for what is made where something lay when the agent came by. Nor may the object
    have to lie on a pad or beside an anchor, whose surroundings are not kept free of bait, or where it must go away.
    """
    relation = chain.conditions.relation
    is_active, is_on = relation != NEVER, relation == ON
    is_chosen = [jnp.asarray(True)]  # spine k lies where the agent wants it, or lay there at the start
    is_put = jnp.asarray(False)
    for k in range(1, relation.shape[0]):
        pair_is_put = chain.is_spine_first[k - 1] & is_put if k > 1 else jnp.asarray(True)
        by_agent_is_put = (relation[k - 1] == HOLD) | (is_put & ~is_on[k - 1])
        is_put = jnp.where(chain.is_pair[k - 1], pair_is_put & ~chain.is_anchored[k - 1], by_agent_is_put)
        is_chosen.append(is_put)
    is_undone = chain.is_negated & (jnp.arange(relation.shape[0]) == deck.chain_length)
    is_put_together = is_active & ~is_on & ~chain.is_anchored & ~is_undone
    spine = is_put_together & jnp.stack(is_chosen)
    eligible = jnp.stack([spine, is_put_together & chain.is_pair], axis=1).reshape(-1)
    card = jnp.arange(eligible.shape[0])
    is_there = (card % 2 == 1) | (card == 0)
    return eligible, is_there


def _are_distinct(conditions: Conditions) -> jax.Array:
    """[] bool: no two that are not padding have the same relation and kinds; one would get in the other's way."""
    lower, higher = jnp.minimum(conditions.first, conditions.second), jnp.maximum(conditions.first, conditions.second)
    fields = jnp.stack([conditions.relation, lower, higher], axis=1)
    is_equal = (fields[:, None] == fields[None, :]).all(axis=2) & (conditions.relation != NEVER)
    return ~(is_equal & (jnp.arange(fields.shape[0])[:, None] < jnp.arange(fields.shape[0]))).any()
