"""Games: goals, the chains of rules that lead to them, what distracts from them, what leads nowhere, and who plays.

A game of chain length n has conditions 0 to n. Condition k < n is that of the k-th rule to fire, condition n is the
goal. Each is about the spine's object k and, where it relates two objects, about its own partner k; the rule it belongs
to turns them into the spine's object k + 1. So at the start there are spine 0 and all partners, every kind of the chain
is another one, and the rules can only fire in sequence:

    near(spine 0, partner 0) -> spine 1     hold(agent, spine 1) -> spine 2     goal: touch(partner 2, spine 2)

A negated goal of a game with rules is about two frozen things, of which the last rule takes one away:

    touch(spine 0, partner 0) -> spine 1    goal: not near(partner 0, partner 1)

Several chains have nothing to do with each other: they are about other kinds, and each leads to a goal of its own.

`docs/tasks.md` says why a game made so can be solved.
"""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from xworld.base.hashing import Word, below, hash_words
from xworld.base.xla.fusion import apart
from xworld.base.xla.lookup import put, take
from xworld.core.config import EnvConfig
from xworld.core.step.relations import NEAR, NEVER, ON, SEE, TOUCH, opposite_directions
from xworld.core.types import Rules
from xworld.tasks import chance
from xworld.tasks.language.rows import MAX_PRODUCTS
from xworld.tasks.universe.chains import Chain, Conditions, Deck, cards_per_condition, deal, draw_chains
from xworld.tasks.universe.config import UniverseConfig
from xworld.tasks.universe.dead_ends import FalseRules, decoy_pad, draw_false_rules, max_false_rules
from xworld.tasks.universe.team import Team, draw_team, is_agent


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Cast:
    """What a game needs in its world, and where it may not be at the start."""

    kind: jax.Array  # [M] uint8, objects: what has to meet first, then the chains', then distractors; 0 for none
    is_frozen: jax.Array  # [M] bool
    must_meet: jax.Array  # [M] bool, condition 0 has to hold between this and what was placed before
    avoids: jax.Array  # [M] uint8, relations (bit 1 << code) that it may not have to the workspace
    pad: jax.Array  # [P] uint8, kinds of the coloured floor that conditions ask for, condition 0's first; 0 for none
    conditions: Conditions  # [Q] condition 0 is what has to meet, if anything; the others may not hold at the start
    needs_workspace: jax.Array  # [] bool, whether an empty block of cells is needed
    are_two: jax.Array  # [] bool, whether there are agents 0 and 1, and not agent 0 only


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Game:
    """Goals and rules, what they are for, and what they need."""

    goals: Conditions  # [K] of which every trial has one, padding behind the last
    is_goal_negated: jax.Array  # [] bool, of the only goal
    rules: Rules  # [R]
    num_firings: jax.Array  # [] int32, rules that have to fire before a goal can hold
    is_chain: jax.Array  # [R] bool, rules that have to fire, for one of the goals
    is_dead_end: jax.Array  # [R] bool, rules that spoil what the goal needs
    are_two: jax.Array  # [] bool, whether there are agents 0 and 1, and not agent 0 only
    needs_both: jax.Array  # [] bool, whether every way to a goal asks something of both of them
    num_distractors: jax.Array  # [] int32, with the objects of chains to no goal
    trial_length: jax.Array  # [] int32
    num_trials: jax.Array  # [] int32
    cards: jax.Array  # [L] uint8, all kinds that may be in the game
    cast: Cast


def draw_game(env_config: EnvConfig, config: UniverseConfig, game_id: Word, attempt: Word) -> tuple[Game, jax.Array]:
    """The game an id names at an attempt, and whether it makes sense (no two dead ends have one condition)."""
    dice = chance.Dice(chance.GAME, attempt, game_id)
    trial_length = chance.between(dice.roll(), *config.trial_length)
    num_trials = chance.between(dice.roll(), *config.num_trials)
    team = draw_team(config, dice)
    deck = deal(env_config, config, team, dice)
    chains = draw_chains(env_config, config, deck, team, dice, game_id, attempt)
    is_there = _is_there(deck, chains)
    is_goal = is_there & (config.goal_per_trial | (jnp.arange(is_there.size) == 0))  # [K]
    false_rules = draw_false_rules(env_config, config, deck, chains, is_goal, team, dice)
    rules, is_chain, is_dead_end = _write_rules(env_config, config, deck, chains, is_goal, false_rules, dice)
    asked_of = chains.is_by_agent[..., None] & (chains.agent[..., None] == jnp.arange(2))  # [K, C, 2]
    num_objects = 1 + chains.is_pair.sum(axis=1, dtype=jnp.int32)
    num_idle = jnp.where(is_there & ~is_goal, num_objects, 0).sum(dtype=jnp.int32)
    game = Game(
        goals=_goals(deck, chains, is_goal),
        is_goal_negated=chains.is_negated[0],
        rules=rules,
        num_firings=deck.chain_length,
        is_chain=is_chain,
        is_dead_end=is_dead_end,
        are_two=team.are_two,
        needs_both=(asked_of.any(axis=1).all(axis=1) | ~is_goal).all(),
        num_distractors=deck.num_distractors + num_idle,
        trial_length=trial_length,
        num_trials=num_trials,
        cards=deck.cards,
        cast=_cast(env_config, config, deck, chains, team, false_rules, dice),
    )
    return game, false_rules.are_distinct


def _goals(deck: Deck, chains: Chain, is_goal: jax.Array) -> Conditions:
    """[K] the last condition of each chain, padding where that is no goal."""
    goals = jax.tree.map(lambda field: jax.vmap(take, (0, None))(field, deck.chain_length), chains.conditions)
    return jax.tree.map(lambda field: jnp.where(is_goal, field, 0), goals)


def game_hash(game: Game) -> jax.Array:
    """[] uint32 of a game's content: see `content_hash`."""
    return content_hash(game.goals, game.is_goal_negated, game.rules)


@apart
def content_hash(goals: Conditions, is_goal_negated: jax.Array, rules: Rules) -> jax.Array:
    """[] uint32 of [K] goals of one literal, and rules, whatever is hidden, and however they are written.

    Equal for goals or rules in another order, for near(a, b) and near(b, a), for touch.north(a, b) and
    touch.south(b, a), and for rules that make the same things in other places.
    """
    codes = _code(Conditions(rules.relation, rules.directions, rules.first, rules.second))
    products = rules.products.astype(jnp.uint32)
    most, least = products.max(axis=1), products.min(axis=1)
    middle = products[:, 0] ^ products[:, 1] ^ products[:, 2] ^ most ^ least
    codes = hash_words(codes, (most << 16) | (middle << 8) | least)
    together = jnp.where(rules.relation != NEVER, codes, 0).sum(dtype=jnp.uint32)
    of_goals = _code(goals)
    of_one = hash_words(of_goals[0], is_goal_negated, together)
    if of_goals.shape[0] == 1:
        return of_one
    is_goal = goals.relation != NEVER
    num_goals = is_goal.sum(dtype=jnp.uint32)
    of_many = jnp.where(is_goal, hash_words(of_goals), 0).sum(dtype=jnp.uint32)
    return jnp.where(num_goals == 1, of_one, hash_words(of_many, num_goals, together))


def _code(conditions: Conditions) -> jax.Array:
    """[Q] uint32, different for conditions that do not mean the same."""
    relation, first, second = conditions.relation, conditions.first, conditions.second
    are_objects = ~is_agent(first) & ~is_agent(second)  # an agent sees by its view, objects see each other
    is_mutual = (relation == TOUCH) | (relation == NEAR) | ((relation == SEE) & are_objects)
    is_swapped = is_mutual & (second < first)
    opposite = opposite_directions(conditions.directions)
    directions = jnp.where(is_swapped, opposite, conditions.directions)
    directions = jnp.where(first == second, directions | opposite, directions)
    first, second = jnp.where(is_swapped, second, first), jnp.where(is_swapped, first, second)
    relation, directions, first, second = (field.astype(jnp.uint32) for field in (relation, directions, first, second))
    return (relation << 24) | (directions << 16) | (first << 8) | second


@apart
def _write_rules(
    env_config: EnvConfig,
    config: UniverseConfig,
    deck: Deck,
    chains: Chain,
    is_goal: jax.Array,
    false_rules: FalseRules,
    dice: chance.Dice,
) -> tuple[Rules, jax.Array, jax.Array]:
    """Rules in random order, and which of them have to fire, and which are dead ends."""
    longest, num_false = config.chain_length[1], max_false_rules(config)
    num_chained = config.num_chains[1] * longest
    is_chained = jnp.arange(num_chained + num_false) < num_chained

    def of_chains(values: jax.Array) -> jax.Array:
        """[K * longest] of [K, C], without what the last conditions, the goals, have."""
        return values[:, :longest].reshape(-1)

    is_rule = (jnp.arange(longest) < deck.chain_length) & _is_there(deck, chains)[:, None]
    is_used = jnp.concatenate([is_rule.reshape(-1), false_rules.is_active])
    conditions = jax.tree.map(
        lambda a, b: jnp.concatenate([of_chains(a), b]), chains.conditions, false_rules.conditions
    )
    products = deck.spare(dice.roll(num_chained + num_false, MAX_PRODUCTS))
    is_spine = is_chained[:, None] & (jnp.arange(MAX_PRODUCTS) == 0)
    spines = jnp.pad(chains.spine[:, 1:].reshape(-1), (0, num_false))[:, None]
    products = jnp.where(is_spine, spines, products)  # what a rule of a chain makes first is spine k + 1
    # What a rule about an agent made besides could wall it in, with its hand full.
    is_by_agent = is_agent(conditions.first)
    num_products = 1 + jnp.where(is_by_agent, 0, below(dice.roll(num_chained + num_false), config.max_products))
    products = jnp.where(jnp.arange(MAX_PRODUCTS) < num_products[:, None], products, 0)
    place = chance.shuffle(dice.roll(is_used.shape[0]), is_used)

    def write(values: jax.Array) -> jax.Array:
        used = jnp.where(is_used.reshape(-1, *[1] * (values.ndim - 1)), values, jnp.zeros_like(values))
        return put(used, place, jnp.zeros((env_config.max_rules, *values.shape[1:]), values.dtype))

    rules = Rules(
        relation=write(conditions.relation),
        directions=write(conditions.directions),
        first=write(conditions.first),
        second=write(conditions.second),
        products=write(products),
    )
    is_needed = jnp.concatenate([jnp.repeat(is_goal, longest), jnp.zeros(num_false, bool)])
    return rules, write(is_needed), write(jnp.concatenate([jnp.zeros(num_chained, bool), false_rules.is_dead_end]))


@apart
def _cast(
    env_config: EnvConfig,
    config: UniverseConfig,
    deck: Deck,
    chains: Chain,
    team: Team,
    false_rules: FalseRules,
    dice: chance.Dice,
) -> Cast:
    # Where there can be no partners, there is no place for them.
    size = chains.is_pair.shape[1] if cards_per_condition(env_config, config) == 2 else 0
    spines = jnp.where(_is_there(deck, chains), chains.spine[:, 0], 0)
    partners = jnp.where(chains.is_pair, chains.partner, 0)[:, :size]
    index = jnp.arange(config.num_distractors[1])
    card = index % deck.num_others
    distractors = jnp.where(index < deck.num_distractors, take(deck.cards, deck.num_chain_cards + card), 0)
    kind = _join(spines, partners, distractors)
    # Nobody has to move what is frozen: distractors that no rule asks for, and what agents only have to go to. Anchors
    # are frozen, and what the last rule has to undo.
    may_freeze = _join(chains.is_still, jnp.zeros(partners.shape, bool), card >= deck.num_bait)
    may_freeze &= chains.has_frozen[0] & chance.happens(dice.roll(kind.shape[0]), config.frozen_percent)
    is_met = chains.is_undone_by_rules[:, None] & (jnp.arange(size) == deck.chain_length)
    num_chained = spines.size + partners.size
    of_spines = may_freeze[:num_chained].reshape(spines.size, -1)[:, 0]
    may_freeze = _join(of_spines, chains.is_anchored[:, :size] | is_met, may_freeze[num_chained:])

    starts_with_goal = deck.chain_length == 0  # condition 0 is the goal
    first_chain = jax.tree.map(lambda leaf: leaf[0], chains)
    has_to_meet = first_chain.is_negated & (config.goal_false_at_start | ~starts_with_goal)
    meets = jnp.arange(kind.shape[0]) == take(first_chain.is_pair, deck.chain_length)  # spine 0, or its partner
    must_meet = has_to_meet & meets
    is_first_quiet = config.goal_false_at_start | ~starts_with_goal
    first = jax.tree.map(lambda field: field[:, 0], chains.conditions)
    first = dataclasses.replace(first, relation=jnp.where(is_first_quiet, first.relation, jnp.uint8(NEVER)))
    conditions = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), first, false_rules.conditions)
    pad = jnp.where(chains.conditions.relation == ON, chains.conditions.second, 0).reshape(-1)
    has_decoy_pad = (false_rules.conditions.relation == ON).any()
    pad = jnp.append(pad, jnp.where(has_decoy_pad, decoy_pad(deck, chains), 0))
    if config.negated_goal_percent and size > 1:
        kind, may_freeze, conditions, pad = _put_meeting_first(deck, first_chain, kind, may_freeze, conditions, pad)
    is_avoided = (kind[:, None] != 0) & (kind[:, None] == false_rules.keeps_off)  # [M, 2F]
    relation_bits = jnp.tile(jnp.uint8(1) << false_rules.conditions.relation, 2)
    # Two agents need a place to pass each other, and what rules make besides one to be put away.
    needs_space = team.are_two | (config.max_products > 1)
    return Cast(
        kind=kind,
        is_frozen=(kind != 0) & may_freeze,
        must_meet=must_meet,
        avoids=jax.lax.reduce_or(jnp.where(is_avoided, relation_bits, 0), (1,)),
        pad=pad,
        conditions=conditions,
        needs_workspace=chains.needs_workspace.any() | (false_rules.keeps_off != 0).any() | needs_space,
        are_two=team.are_two,
    )


def _join(of_spines: jax.Array, of_partners: jax.Array, of_others: jax.Array) -> jax.Array:
    """[M] values in the order of a cast: the spine and the partners of each chain, [K] and [K, C], then others."""
    return jnp.concatenate([jnp.concatenate([of_spines[:, None], of_partners], axis=1).reshape(-1), of_others])


def _is_there(deck: Deck, chains: Chain) -> jax.Array:
    """[K] bool, which chains the game has."""
    return jnp.arange(chains.is_pair.shape[0]) < deck.num_chains


def _put_meeting_first(
    deck: Deck, chain: Chain, kind: jax.Array, is_frozen: jax.Array, conditions: Conditions, pad: jax.Array
) -> tuple[jax.Array, jax.Array, Conditions, jax.Array]:
    """The cast's arrays with what the last rule has to undo, if it has, in front: two things, or a thing and a pad."""
    length, is_undone = deck.chain_length, chain.is_undone_by_rules
    index = jnp.arange(kind.shape[0])  # spine 0, then the partners, of which the goal is about the last two
    order = jnp.where(index < 2, length + index, jnp.where(index < length + 2, index - 2, index))
    order = jnp.where(is_undone, order, index)
    goal = jax.tree.map(lambda field: take(field, length[None]), chain.conditions)
    never = dataclasses.replace(goal, relation=jnp.zeros_like(goal.relation))
    meeting = jax.tree.map(
        lambda a, b, c: jnp.where(is_undone, jnp.append(a, b[:1]), jnp.append(b[:1], c)), goal, conditions, never
    )
    conditions = jax.tree.map(lambda a, b: jnp.concatenate([a, b[1:]]), meeting, conditions)
    swapped = jnp.where(is_undone, length, 0)
    pad_index = jnp.arange(pad.shape[0])
    pad_order = jnp.where(pad_index == 0, swapped, jnp.where(pad_index == swapped, 0, pad_index))
    return take(kind, order), take(is_frozen, order), conditions, take(pad, pad_order)
