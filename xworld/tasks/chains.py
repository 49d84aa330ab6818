"""The chain of conditions that leads to the goal, and the deck of kinds that games are dealt from."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from xworld.core import kinds
from xworld.core.config import RELATIONS, EnvConfig
from xworld.core.hashing import below
from xworld.core.relations import ALL_DIRECTIONS, HOLD, NEAR, NEVER, ON, SEE, TOUCH
from xworld.tasks import cell_sets, chance
from xworld.tasks.universe_config import UniverseConfig, goal_relations, rule_relations

AGENT = kinds.agent_kind(0)
SPARE_CARDS = 4  # different kinds that dead ends and side products make
# Floor is black but where a condition asks for another colour.
PAD_KINDS = np.array(
    [kinds.floor_kind(colour) for colour in kinds.COLOURS if colour != kinds.COLOURS[kinds.BLACK]], np.uint8
)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Conditions:
    """Relations between two kinds, as rules and goals ask for them."""

    relation: jax.Array  # [Q] uint8, NEVER for padding
    directions: jax.Array  # [Q] uint8
    first: jax.Array  # [Q] uint8
    second: jax.Array  # [Q] uint8


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Deck:
    """Shuffled kinds: card 2k is spine k, 2k + 1 is partner k, then come bait, other distractors, and unused kinds.

    Distractors wrap around where there are fewer kinds than distractors. Spare kinds are those behind the bait: no
    condition asks for them.
    """

    cards: jax.Array  # [L] uint8
    pads: jax.Array  # [11] uint8, kinds of floor
    chain_length: jax.Array  # [] int32
    num_distractors: jax.Array  # [] int32
    num_dead_ends: jax.Array  # [] int32
    num_bait: jax.Array  # [] int32, kinds of distractors that dead ends ask for; at least 1 where there are dead ends
    num_others: jax.Array  # [] int32, kinds that are not in the chain

    @property
    def num_chain_cards(self) -> jax.Array:
        """[] int32: cards of the chain, used or not, that come first."""
        return 2 * self.chain_length + 2

    def spare(self, bits: jax.Array) -> jax.Array:
        """uint8 kinds that no condition asks for."""
        num_spare = jnp.clip(self.num_others - self.num_bait, 1, SPARE_CARDS)
        return self.cards[self.num_chain_cards + self.num_bait + below(bits, num_spare).astype(jnp.int32)]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Chain:
    """Conditions 0 to n, padded to C = longest chain + 1, and what they are like."""

    conditions: Conditions  # [C]
    is_negated: jax.Array  # [] bool, of the goal
    is_pair: jax.Array  # [C] bool, about spine and partner; else about the spine and the agent or a floor
    is_spine_first: jax.Array  # [C] bool, in a pair
    is_still: jax.Array  # [] bool, whether the agent only has to go to things
    needs_workspace: jax.Array  # [] bool, whether something may have to be put down beside something


def deal(config: UniverseConfig, dice: chance.Dice) -> Deck:
    """Shuffles the kinds, and draws how many there are of what."""
    chain_length = chance.between(dice.roll(), *config.chain_length)
    num_dead_ends = chance.between(dice.roll(), *config.num_dead_ends)
    num_distractors = chance.between(dice.roll(), *config.num_distractors)
    num_distractors = jnp.where(num_dead_ends > 0, jnp.maximum(num_distractors, 1), num_distractors)
    all_kinds = np.array(
        [kinds.object_kind(shape, colour) for shape in config.shapes for colour in config.colours], np.uint8
    )
    num_cards = min(len(all_kinds), 2 * config.chain_length[1] + 2 + config.num_distractors[1] + SPARE_CARDS)
    num_others = len(all_kinds) - (2 * chain_length + 2)
    num_bait = jnp.where(num_dead_ends > 0, jnp.minimum((num_distractors + 1) // 2, num_others - 1), 0)
    cards = jnp.asarray(all_kinds)[_deal_distinct(len(all_kinds), dice.roll(num_cards))]
    pads = jnp.asarray(PAD_KINDS)[chance.shuffle(dice.roll(len(PAD_KINDS)), jnp.ones(len(PAD_KINDS), bool))]
    return Deck(cards, pads, chain_length, num_distractors, num_dead_ends, num_bait, num_others)


def _deal_distinct(num: int, bits: jax.Array) -> jax.Array:
    """[L] int32: different numbers below `num`, one for each of [L] bits, uniformly."""

    def deal_one(left: jax.Array, bits: jax.Array) -> tuple[jax.Array, jax.Array]:
        _, card, _ = cell_sets.pick(left, bits)
        return left & ~cell_sets.point(left, jnp.int32(0), card), card

    return jax.lax.scan(deal_one, cell_sets.pack(jnp.ones((1, num), bool)), bits)[1]


def draw_chain(env_config: EnvConfig, config: UniverseConfig, deck: Deck, dice: chance.Dice) -> Chain:
    """Draws every condition's relation and form."""
    size = config.chain_length[1] + 1
    k = jnp.arange(size)
    is_active, is_goal = k <= deck.chain_length, k == deck.chain_length
    goal_relation = draw_relation(goal_relations(env_config, config), dice.roll(size))
    rule_relation = draw_relation(rule_relations(env_config, config), dice.roll(size))
    relation = jnp.where(is_goal, goal_relation, rule_relation)

    # Nothing is in a hand at the start, so that "hold" cannot be undone. Without a chain nothing else is in the way.
    is_negated = (deck.chain_length == 0) & (relation[0] != HOLD)
    is_negated &= chance.happens(dice.roll(), config.negated_goal_percent)
    # What the agent sees depends on where it looks, so that it cannot be undone for sure either: two objects' see can.
    is_pair = is_between_things(relation)
    is_pair &= chance.happens(dice.roll(size), config.pair_percent) | (is_negated & (relation == SEE))
    is_pair &= is_active
    is_on = relation == ON
    by_agent = ~is_pair & ~is_on
    directions = draw_directions(config, relation, dice.roll(2, size))

    spine, partner = deck.cards[: 2 * size : 2], deck.cards[1 : 2 * size : 2]
    is_swapped = (dice.roll(size) & 1) == 1
    conditions = Conditions(
        relation=jnp.where(is_active, relation, NEVER).astype(jnp.uint8),
        directions=directions,
        first=jnp.where(by_agent, jnp.uint8(AGENT), jnp.where(is_pair & is_swapped, partner, spine)),
        second=jnp.where(is_on, deck.pads[:size], jnp.where(is_pair & ~is_swapped, partner, spine)),
    )
    has_sides = (relation == TOUCH) & (directions != ALL_DIRECTIONS)
    is_approach = by_agent & (relation != HOLD) & ~has_sides
    return Chain(
        conditions=conditions,
        is_negated=is_negated,
        is_pair=is_pair,
        is_spine_first=~is_swapped,
        is_still=(is_approach | ~is_active).all() & ~is_negated,
        needs_workspace=(is_active & (is_pair | has_sides)).any() & ~is_negated,
    )


def is_between_things(relation: jax.Array) -> jax.Array:
    """Bool, whether a relation can hold between two objects."""
    return (relation == TOUCH) | (relation == NEAR) | (relation == SEE)


def draw_relation(names: tuple[str, ...], bits: jax.Array) -> jax.Array:
    """uint8 codes of the named relations, uniformly."""
    codes = jnp.array([RELATIONS.index(name) + 1 for name in names], jnp.uint8)
    return codes[below(bits, len(names))]


def draw_directions(config: UniverseConfig, relation: jax.Array, bits: jax.Array) -> jax.Array:
    """[Q] uint8 directions of Q relations from [2, Q] bits: all four, or some, for touch, and none for the others."""
    has_sides = chance.happens(bits[0], config.direction_percent)
    directions = jnp.where(has_sides, chance.between(bits[1], 1, ALL_DIRECTIONS - 1), ALL_DIRECTIONS)
    return jnp.where(relation == TOUCH, directions, 0).astype(jnp.uint8)
