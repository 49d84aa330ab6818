"""Games: a goal, the chain of rules that leads to it, what distracts from it, and what leads nowhere.

A game of chain length n has conditions 0 to n. Condition k < n is that of the k-th rule to fire, condition n is the
goal. Each is about the spine's object k and, where it relates two objects, about its own partner k; the rule it belongs
to turns them into the spine's object k + 1. So at the start there are spine 0 and all partners, every kind of the chain
is another one, and the rules can only fire in sequence:

    near(spine 0, partner 0) -> spine 1     hold(agent, spine 1) -> spine 2     goal: touch(partner 2, spine 2)

`docs/tasks.md` says why a game made so can be solved.
"""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from xworld.core.config import EnvConfig
from xworld.core.hashing import Word, below, hash_words
from xworld.core.relations import NEVER, ON
from xworld.core.types import Rules
from xworld.tasks import chance
from xworld.tasks.chains import Chain, Conditions, Deck, deal, draw_chain
from xworld.tasks.dead_ends import DeadEnds, draw_dead_ends
from xworld.tasks.universe_config import UniverseConfig


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Cast:
    """What a game needs in its world, and where it may not be at the start."""

    kind: jax.Array  # [M] uint8, objects: spine 0, partners, distractors; 0 for none
    is_frozen: jax.Array  # [M] bool
    must_meet: jax.Array  # [M] bool, condition 0 has to hold between this and what was placed before
    avoids: jax.Array  # [M] uint8, relations (bit 1 << code) that it may not have to the workspace
    pad: jax.Array  # [P] uint8, kinds of the coloured floor that conditions ask for; 0 for none
    conditions: Conditions  # [Q] what may not hold at the start, first condition 0
    needs_workspace: jax.Array  # [] bool, whether something has to be put down


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Game:
    """Goal and rules, what they are for, and what they need."""

    goal: Conditions  # [1]
    is_goal_negated: jax.Array  # [] bool
    rules: Rules  # [R]
    is_chain: jax.Array  # [R] bool, rules that have to fire
    is_dead_end: jax.Array  # [R] bool
    num_distractors: jax.Array  # [] int32
    trial_length: jax.Array  # [] int32
    num_trials: jax.Array  # [] int32
    cards: jax.Array  # [L] uint8, all kinds that may be in the game
    cast: Cast


def draw_game(env_config: EnvConfig, config: UniverseConfig, game_id: Word, attempt: Word) -> tuple[Game, jax.Array]:
    """The game an id names at an attempt, and whether it makes sense (no two dead ends have one condition)."""
    dice = chance.Dice(chance.GAME, attempt, game_id)
    trial_length = chance.between(dice.roll(), *config.trial_length)
    num_trials = chance.between(dice.roll(), *config.num_trials)
    deck = deal(config, dice)
    chain = draw_chain(env_config, config, deck, dice)
    dead_ends = draw_dead_ends(env_config, config, deck, chain, dice)
    rules, is_chain, is_dead_end = _write_rules(env_config, config, deck, chain, dead_ends, dice)
    game = Game(
        goal=jax.tree.map(lambda field: field[deck.chain_length][None], chain.conditions),
        is_goal_negated=chain.is_negated,
        rules=rules,
        is_chain=is_chain,
        is_dead_end=is_dead_end,
        num_distractors=deck.num_distractors,
        trial_length=trial_length,
        num_trials=num_trials,
        cards=deck.cards,
        cast=_cast(config, deck, chain, dead_ends, dice),
    )
    return game, dead_ends.are_distinct


def game_hash(game: Game) -> jax.Array:
    """[] uint32 of goal and rules, whatever the order of the rules and whatever is hidden."""
    rules, goal = game.rules, game.goal
    codes = _code(Conditions(rules.relation, rules.directions, rules.first, rules.second))
    products = rules.products.astype(jnp.uint32)
    codes = hash_words(codes, (products[:, 0] << 16) | (products[:, 1] << 8) | products[:, 2])
    together = jnp.where(rules.relation != NEVER, codes, 0).sum(dtype=jnp.uint32)
    return hash_words(_code(goal)[0], game.is_goal_negated, together)


def _code(conditions: Conditions) -> jax.Array:
    """[Q] uint32, different for different conditions."""
    fields = (conditions.relation, conditions.directions, conditions.first, conditions.second)
    relation, directions, first, second = (field.astype(jnp.uint32) for field in fields)
    return (relation << 24) | (directions << 16) | (first << 8) | second


def _write_rules(
    env_config: EnvConfig, config: UniverseConfig, deck: Deck, chain: Chain, dead_ends: DeadEnds, dice: chance.Dice
) -> tuple[Rules, jax.Array, jax.Array]:
    """Rules in random order, and which of them have to fire, and which are dead ends."""
    longest = config.chain_length[1]
    is_rule = jnp.arange(longest) < deck.chain_length
    side_products = deck.spare(dice.roll(longest, 1))
    has_side_product = chain.is_pair[:longest] & (below(dice.roll(longest), config.max_products) == 1)
    side_products = jnp.where(has_side_product[:, None], side_products, 0)
    made = deck.cards[2 : 2 * longest + 1 : 2, None]  # spine k + 1
    products = jnp.concatenate([made, side_products, jnp.zeros_like(made)], axis=1)
    conditions = jax.tree.map(lambda a, b: jnp.concatenate([a[:longest], b]), chain.conditions, dead_ends.conditions)
    products = jnp.concatenate([products, dead_ends.products])

    is_used = jnp.concatenate([is_rule, dead_ends.is_active])
    place = chance.shuffle(dice.roll(is_used.shape[0]), is_used)

    def put(values: jax.Array) -> jax.Array:
        used = jnp.where(is_used.reshape(-1, *[1] * (values.ndim - 1)), values, jnp.zeros_like(values))
        return jnp.zeros((env_config.max_rules, *values.shape[1:]), values.dtype).at[place].set(used)

    rules = Rules(
        relation=put(conditions.relation),
        directions=put(conditions.directions),
        first=put(conditions.first),
        second=put(conditions.second),
        products=put(products),
    )
    is_chain = put(jnp.arange(is_used.shape[0]) < longest)
    return rules, is_chain, (rules.relation != NEVER) & ~is_chain


def _cast(config: UniverseConfig, deck: Deck, chain: Chain, dead_ends: DeadEnds, dice: chance.Dice) -> Cast:
    spine, partners = deck.cards[:1], jnp.where(chain.is_pair, deck.cards[1 : 2 * chain.is_pair.shape[0] : 2], 0)
    index = jnp.arange(config.num_distractors[1])
    card = index % deck.num_others
    distractors = jnp.where(index < deck.num_distractors, deck.cards[deck.num_chain_cards + card], 0)
    kind = jnp.concatenate([spine, partners, distractors])
    # Nobody has to move what is frozen: distractors that no dead end asks for, and what only has to be approached.
    may_freeze = jnp.concatenate([chain.is_still[None], jnp.zeros(partners.shape, bool), card >= deck.num_bait])
    is_frozen = (kind != 0) & may_freeze & chance.happens(dice.roll(kind.shape[0]), config.frozen_percent)

    starts_with_goal = deck.chain_length == 0  # condition 0 is the goal
    has_to_meet = chain.is_negated & config.goal_false_at_start
    must_meet = jnp.zeros(kind.shape, bool)
    must_meet = must_meet.at[0].set(has_to_meet & ~chain.is_pair[0]).at[1].set(has_to_meet & chain.is_pair[0])
    conditions = jax.tree.map(lambda a, b: jnp.concatenate([a[:1], b]), chain.conditions, dead_ends.conditions)
    if not config.goal_false_at_start:
        relation = conditions.relation.at[0].set(jnp.where(starts_with_goal, NEVER, conditions.relation[0]))
        conditions = dataclasses.replace(conditions, relation=relation)
    is_avoided = (kind[:, None] != 0) & (kind[:, None] == dead_ends.keeps_off)  # [M, 2E]
    relation_bits = jnp.tile(jnp.uint8(1) << dead_ends.conditions.relation, 2)
    pads = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), chain.conditions, dead_ends.conditions)
    return Cast(
        kind=kind,
        is_frozen=is_frozen,
        must_meet=must_meet,
        avoids=jax.lax.reduce_or(jnp.where(is_avoided, relation_bits, 0), (1,)),
        pad=jnp.where(pads.relation == ON, pads.second, 0),
        conditions=conditions,
        needs_workspace=chain.needs_workspace | (dead_ends.keeps_off != 0).any(),
    )
