"""The chains of conditions that lead to the goals, and the deck of kinds that games are dealt from."""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.hashing import Word, below
from xworld.base.xla.fusion import apart
from xworld.base.xla.lookup import take
from xworld.core import kinds
from xworld.core.config import RELATIONS, EnvConfig
from xworld.core.step.relations import ALL_DIRECTIONS, HOLD, NEVER, ON, SEE, TOUCH
from xworld.tasks import chance
from xworld.tasks.universe.config import (
    BETWEEN_THINGS,
    UniverseConfig,
    between_things,
    goal_relations,
    have_pairs,
    rule_relations,
)
from xworld.tasks.universe.team import Team, agent_kind
from xworld.tasks.worlds import cell_sets

SPARE_CARDS = 4  # different kinds that dead ends, decoys and side products make


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

    Of several chains each has its cards after those of the one before; where none can have a partner, card k is spine
    k. Distractors wrap around where there are fewer kinds than distractors. Spare kinds are those behind the bait: no
    condition asks for them.
    """

    cards: jax.Array  # [L] uint8
    pads: jax.Array  # [11] uint8, kinds of floor; fewer where worlds have coloured floor
    num_chains: jax.Array  # [] int32
    num_cards: jax.Array  # [] int32, of one chain
    chain_length: jax.Array  # [] int32
    num_distractors: jax.Array  # [] int32
    num_dead_ends: jax.Array  # [] int32, that are asked for; some may turn out as decoys
    num_decoys: jax.Array  # [] int32
    num_bait: jax.Array  # [] int32, kinds of distractors that dead ends and decoys ask for; 0 where there are none
    num_others: jax.Array  # [] int32, kinds that are not in the chains

    @property
    def num_chain_cards(self) -> jax.Array:
        """[] int32: cards of the chains, used or not, that come first."""
        return self.num_chains * self.num_cards

    def spare(self, bits: jax.Array) -> jax.Array:
        """uint8 kinds that no condition asks for."""
        num_spare = jnp.clip(self.num_others - self.num_bait, 1, SPARE_CARDS)
        return take(self.cards, self.num_chain_cards + self.num_bait + below(bits, num_spare).astype(jnp.int32))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Chain:
    """Conditions 0 to n, padded to C = longest chain + 1, and what they are like.

    Several chains have a leading axis of the most that there may be, K; one that a game has not is all padding.
    """

    conditions: Conditions  # [C]
    spine: jax.Array  # [C] uint8, kinds of the spine's objects; also where the chain is shorter
    partner: jax.Array  # [C] uint8, kinds of the partners, or what would be
    agent: jax.Array  # [C] int32, whom a condition is about that is about an agent
    is_by_agent: jax.Array  # [C] bool, about the spine and an agent
    is_pair: jax.Array  # [C] bool, about spine and partner; what is neither is about the spine and a floor
    is_spine_first: jax.Array  # [C] bool, in a pair
    is_anchored: jax.Array  # [C] bool, the partner is frozen, and the spine is brought to it
    is_negated: jax.Array  # [] bool, of the goal
    is_undone_by_rules: jax.Array  # [] bool, the goal is negated, and about what only the last rule can take away
    is_still: jax.Array  # [] bool, whether agents only have to go to things
    has_frozen: jax.Array  # [] bool, whether anything may be frozen
    needs_workspace: jax.Array  # [] bool, whether something may have to be put down beside something


@apart
def deal(env_config: EnvConfig, config: UniverseConfig, team: Team, dice: chance.Dice) -> Deck:
    """Shuffles the kinds, and draws how many there are of what."""
    chain_length = chance.between(dice.roll(), *config.chain_length)
    chain_length = jnp.where(chance.happens(dice.roll(), config.no_chain_percent), 0, chain_length)
    chain_length = jnp.maximum(chain_length, team.are_together)  # one condition for each
    num_chains = jnp.int32(1)
    if config.num_chains[1] > 1:
        num_chains = chance.between(dice.roll(), *config.num_chains)
    num_dead_ends = chance.between(dice.roll(), *config.num_dead_ends)
    num_decoys = chance.between(dice.roll(), *config.num_decoys)
    has_bait = num_dead_ends + num_decoys > 0
    num_distractors = jnp.maximum(chance.between(dice.roll(), *config.num_distractors), has_bait)
    all_kinds = np.array(
        [kinds.object_kind(shape, colour) for shape in config.shapes for colour in config.colours], np.uint8
    )
    width = cards_per_condition(env_config, config)
    most = width * config.num_chains[1] * (config.chain_length[1] + 1)  # of the chains
    num_cards = min(len(all_kinds), most + config.num_distractors[1] + SPARE_CARDS)
    num_others = len(all_kinds) - num_chains * width * (chain_length + 1)
    num_bait = jnp.where(has_bait, jnp.minimum((num_distractors + 1) // 2, num_others - 1), 0)
    cards = take(all_kinds, _deal_distinct(len(all_kinds), dice.roll(num_cards)))
    all_pads = pad_kinds(config)
    pads = take(all_pads, chance.shuffle(dice.roll(len(all_pads)), jnp.ones(len(all_pads), bool)))
    return Deck(
        cards=cards,
        pads=pads,
        num_chains=num_chains,
        num_cards=width * (chain_length + 1),
        chain_length=chain_length,
        num_distractors=num_distractors,
        num_dead_ends=num_dead_ends,
        num_decoys=num_decoys,
        num_bait=num_bait,
        num_others=num_others,
    )


def cards_per_condition(env_config: EnvConfig, config: UniverseConfig) -> int:
    """2, for spine and partner; 1 for many chains that have no partners, of which there could be too few cards."""
    return 1 + (config.num_chains[1] == 1 or have_pairs(env_config, config))


def pad_kinds(config: UniverseConfig) -> np.ndarray:
    """[P] uint8: kinds of floor that conditions may ask for. No world has any of it of its own."""
    colours = [colour for colour in kinds.COLOURS if colour not in config.world.floor_colours]
    return np.array([kinds.floor_kind(colour) for colour in colours], np.uint8)


def _deal_distinct(num: int, bits: jax.Array) -> jax.Array:
    """[L] int32: different numbers below `num`, one for each of [L] bits, uniformly."""

    def deal_one(left: jax.Array, bits: jax.Array) -> tuple[jax.Array, jax.Array]:
        _, card, _ = cell_sets.pick(left, bits)
        return left & ~cell_sets.point(left, jnp.int32(0), card), card

    return jax.lax.scan(deal_one, cell_sets.pack(jnp.ones((1, num), bool)), bits)[1]


def draw_chains(
    env_config: EnvConfig,
    config: UniverseConfig,
    deck: Deck,
    team: Team,
    dice: chance.Dice,
    game_id: Word,
    attempt: Word,
) -> Chain:
    """[K] chains. The first rolls `dice`, as the only one of a game does; the others have dice of their own."""
    first = draw_chain(env_config, config, deck, team, dice)
    chains = jax.tree.map(lambda leaf: leaf[None], first)
    if config.num_chains[1] == 1:
        return chains

    def draw_other(number: jax.Array) -> Chain:
        own = chance.Dice(chance.CHAIN, attempt, game_id, number)
        return draw_chain(env_config, config, _deal_to(env_config, config, deck, number), team, own, first.has_frozen)

    others = jax.vmap(draw_other)(jnp.arange(1, config.num_chains[1]))
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), chains, others)


def _deal_to(env_config: EnvConfig, config: UniverseConfig, deck: Deck, number: jax.Array) -> Deck:
    """The deck with the cards and pads of one of several chains on top; a chain of length -1 if there are fewer."""
    size = config.chain_length[1] + 1
    num_cards = cards_per_condition(env_config, config) * size
    return dataclasses.replace(
        deck,
        cards=take(deck.cards, number * deck.num_cards + jnp.arange(num_cards)),
        pads=take(deck.pads, number * size + jnp.arange(size)),
        chain_length=jnp.where(number < deck.num_chains, deck.chain_length, -1),
    )


@apart
def draw_chain(
    env_config: EnvConfig,
    config: UniverseConfig,
    deck: Deck,
    team: Team,
    dice: chance.Dice,
    may_freeze: jax.Array | None = None,
) -> Chain:
    """Draws every condition's relation and form, and whether things may be frozen, if `may_freeze` does not say it."""
    outline = _draw_outline(env_config, config, deck, team, dice)
    relation, is_active, is_undone = outline.relation, outline.is_active, outline.is_undone
    size = config.chain_length[1] + 1
    # What an agent sees depends on where it looks, so that it cannot be undone for sure either: two objects' see can.
    must_be_pair = (is_undone & ((relation == SEE) | outline.is_undone_by_rules)) | outline.is_last_rule
    is_pair = chance.happens(dice.roll(size), config.pair_percent) | must_be_pair
    is_pair &= is_between_things(relation) & is_active & ~outline.is_part
    is_on = relation == ON
    is_by_agent = is_active & ~is_pair & ~is_on
    agent = team.draw(is_by_agent & ~is_undone, dice.roll(size))
    agent = jnp.where(outline.is_part, outline.part, agent)

    has_frozen = chance.happens(dice.roll(), config.frozen_task_percent) if may_freeze is None else may_freeze
    is_anchored = has_frozen & chance.happens(dice.roll(size), config.frozen_percent)
    is_anchored = is_pair & ~is_undone & (is_anchored | outline.is_last_rule)
    # What a rule makes first replaces what is first: were that the anchor, the next spine would be frozen.
    is_spine_first = ((dice.roll(size) & 1) == 1) | is_anchored
    directions = draw_directions(config, relation, dice.roll(2, size))
    directions = jnp.where(is_anchored & (relation == TOUCH), jnp.uint8(ALL_DIRECTIONS), directions)

    width = cards_per_condition(env_config, config)
    spine, partner = deck.cards[: width * size : width], deck.cards[width - 1 : width * size : width]
    # The goal that rules undo is about the last rule's partner, in the spine's stead.
    subject = jnp.where(is_undone & outline.is_undone_by_rules, jnp.roll(partner, 1), spine)
    conditions = Conditions(
        relation=jnp.where(is_active, relation, NEVER).astype(jnp.uint8),
        directions=directions,
        first=jnp.where(is_by_agent, agent_kind(agent), jnp.where(is_pair & ~is_spine_first, partner, subject)),
        second=jnp.where(is_on, deck.pads[:size], jnp.where(is_pair & is_spine_first, partner, subject)),
    )
    has_sides = (relation == TOUCH) & (directions != ALL_DIRECTIONS)
    is_approach = is_by_agent & (relation != HOLD) & ~has_sides
    is_put_down = ~is_undone & ((is_pair & ~is_anchored) | (is_by_agent & has_sides))
    return Chain(
        conditions=conditions,
        spine=spine,
        partner=partner,
        agent=agent,
        is_by_agent=is_by_agent,
        is_pair=is_pair,
        is_spine_first=is_spine_first,
        is_anchored=is_anchored,
        is_negated=outline.is_negated,
        is_undone_by_rules=outline.is_undone_by_rules,
        is_still=(is_approach | ~is_active).all() & ~outline.is_negated,
        has_frozen=has_frozen,
        needs_workspace=is_put_down.any(),
    )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Outline:
    """What a chain's conditions ask for, before it is known what they are about."""

    relation: jax.Array  # [C] uint8
    is_active: jax.Array  # [C] bool, else padding
    is_undone: jax.Array  # [C] bool, the goal if it is negated
    is_last_rule: jax.Array  # [C] bool, the rule that undoes the goal, if one does
    is_part: jax.Array  # [C] bool, one of the two conditions that are about one agent each, where both are needed
    part: jax.Array  # [C] int32, id of that agent
    is_negated: jax.Array  # [] bool, of the goal
    is_undone_by_rules: jax.Array  # [] bool, as in `Chain`


def _draw_outline(env_config: EnvConfig, config: UniverseConfig, deck: Deck, team: Team, dice: chance.Dice) -> _Outline:
    """Draws the relations, whether the goal is negated, and which conditions need which agent."""
    size = config.chain_length[1] + 1
    k = jnp.arange(size)
    is_active, is_goal = k <= deck.chain_length, k == deck.chain_length
    of_goals, of_rules = goal_relations(env_config, config), rule_relations(env_config, config)

    # Nothing is in a hand at the start, so that "hold" cannot be undone. With a chain, its last rule undoes the goal by
    # taking one of two frozen things away, to which the agent brings another thing.
    undone, taken = _without(of_goals, "hold"), between_things(of_rules)
    is_negated = chance.happens(dice.roll(), config.negated_goal_percent) & bool(undone) & ~team.are_together
    is_negated &= (deck.chain_length == 0) | bool(taken)
    is_undone_by_rules = is_negated & (deck.chain_length > 0)
    is_last_rule = is_undone_by_rules & (k == deck.chain_length - 1)
    bits = dice.roll(size)
    relation = jnp.where(is_goal, draw_relation(of_goals, bits), draw_relation(of_rules, bits))
    if undone:
        relation = jnp.where(is_goal & is_negated, draw_relation(undone, bits), relation)
    if taken:
        relation = jnp.where(is_last_rule, draw_relation(taken, bits), relation)
    # Where both players are needed, two of the conditions are about agents, one about each; `on` never is.
    part, is_part = jnp.zeros(size, jnp.int32), jnp.zeros(size, bool)
    if config.together_percent:
        part = chance.shuffle(dice.roll(size), is_active)
        is_part = team.are_together & (part < 2)
        goal_part, rule_part = (draw_relation(_without(names, "on"), bits) for names in (of_goals, of_rules))
        relation = jnp.where(is_part, jnp.where(is_goal, goal_part, rule_part), relation)
    is_undone = is_goal & is_negated
    return _Outline(relation, is_active, is_undone, is_last_rule, is_part, part, is_negated, is_undone_by_rules)


def is_between_things(relation: jax.Array) -> jax.Array:
    """Bool, whether a relation can hold between two objects."""
    codes = [RELATIONS.index(name) + 1 for name in BETWEEN_THINGS]
    return (relation[..., None] == np.array(codes, np.uint8)).any(axis=-1)


def draw_relation(names: tuple[str, ...], bits: jax.Array) -> jax.Array:
    """uint8 codes of the named relations, uniformly."""
    codes = np.array([RELATIONS.index(name) + 1 for name in names], np.uint8)
    return take(codes, below(bits, len(names)))


def _without(names: tuple[str, ...], left_out: str) -> tuple[str, ...]:
    return tuple(name for name in names if name != left_out)


def draw_directions(config: UniverseConfig, relation: jax.Array, bits: jax.Array) -> jax.Array:
    """[Q] uint8 directions of Q relations from [2, Q] bits: all four, or some, for touch, and none for the others."""
    has_sides = chance.happens(bits[0], config.direction_percent)
    directions = jnp.where(has_sides, chance.between(bits[1], 1, ALL_DIRECTIONS - 1), ALL_DIRECTIONS)
    return jnp.where(relation == TOUCH, directions, 0).astype(jnp.uint8)
