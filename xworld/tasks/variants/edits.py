"""Edits: small changes of a generated task that leave one that can be solved.

- Swap a kind: it becomes another one everywhere. Nothing but names has changed.
- Add a rule of the chain: what the chain begins with is made of another kind, when agent 0 holds that or comes to it.
  The agent does so first, and then has what was there before, in its hand or where it lay.
- Drop a rule of the chain: what its first rule makes is there from the start. One rule less has to fire.
- Add a false rule: a decoy about a distractor in a hand, or a dead end about a distractor and what only has to be
  picked up. Neither has to happen.
- Drop a false rule, a dead end or a decoy: nothing is forbidden that was allowed.
- Move an object to another free cell, as long as all ways stay open.
- Hide or show a rule, or show a kind or a relation: what agents know changes nothing.

What comes out is checked by the generator's own rules: `soundness.py`.
"""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.errors import ConfigError
from xworld.base.hashing import below, hash_words
from xworld.core import kinds
from xworld.core.config import RELATIONS
from xworld.core.keys import as_key
from xworld.core.step.relations import ALL_DIRECTIONS, HOLD, NEVER, TOUCH
from xworld.core.types import Rules, Task
from xworld.tasks import chance
from xworld.tasks.universe.config import rule_relations
from xworld.tasks.universe.team import AGENT, is_agent
from xworld.tasks.universe.universe import Universe
from xworld.tasks.variants.anatomy import Anatomy, anatomy
from xworld.tasks.variants.soundness import free_cells, is_sound

EDITS = ("swap_kind", "add_rule", "drop_rule", "add_false_rule", "drop_false_rule", "move_object", "hide")
_BY_AGENT = ("hold", "touch", "near")  # relations of an agent and one object that an added rule of the chain may have
_EDIT = 6  # first word of the hashes; that of `chance.CHAIN` too, which tasks that can be edited do not have


def edit(universe: Universe, task: Task, key: jax.Array) -> tuple[Task, jax.Array]:
    """A task that differs from a task of the universe by one edit, and whether there is one; else the task as it was.

    Edits are drawn uniformly. The new task has world id -1 and a game id of its own, drawn for it from 2^31. Pure, jit-
    and vmap-able.

    Args:
      universe: whose tasks it is about; its ranges and its split hold for what comes out.
      task: of the universe, or one that came out before.
      key: a JAX key.

    Raises:
      ConfigError: as `check_editable` does.
    """
    bits = jax.random.bits(as_key(key), (2,), jnp.uint32)
    changes = edits_of(universe, task, bits[0])
    chosen = below(hash_words(_EDIT, bits[0]), len(EDITS)).astype(jnp.int32)
    edited, is_possible = jax.tree.map(lambda *leaves: jnp.stack(leaves)[chosen], *changes.values())
    is_good = is_possible & is_sound(universe, edited, was=task)
    game_id = (bits[1] >> 1).astype(jnp.int32)
    edited = dataclasses.replace(edited, world_id=jnp.int32(-1), game_id=game_id)
    return jax.tree.map(lambda new, old: jnp.where(is_good, new, old), edited, task), is_good


def check_editable(universe: Universe) -> None:
    """Checks that tasks of a universe have one goal and one chain, which is what edits know how to change.

    Raises:
      ConfigError: there may be several.
    """
    for name, most in (
        ("EnvConfig.max_goals", universe.env_config.max_goals),
        ("UniverseConfig.num_chains", universe.config.num_chains[1]),
    ):
        if most > 1:
            raise ConfigError(
                f"Edits are for tasks of one goal and one chain, but {name} allows {most}. Lower it to 1, or train "
                "with another curriculum, such as plr."
            )


def edits_of(universe: Universe, task: Task, seed: jax.Array) -> dict[str, tuple[Task, jax.Array]]:
    """Each edit of a task by name, with whether it is possible; not yet checked, and with the task's ids.

    Raises:
      ConfigError: as `check_editable` does.
    """
    check_editable(universe)
    about = _About(universe, task, anatomy(task))
    functions = (_swap_kind, _add_rule, _drop_rule, _add_false_rule, _drop_false_rule, _move_object, _hide)
    return {
        name: function(about, chance.Dice(_EDIT, number, seed))
        for number, (name, function) in enumerate(zip(EDITS, functions, strict=True))
    }


@dataclass(frozen=True)
class _About:
    """What edits look at."""

    universe: Universe
    task: Task
    parts: Anatomy

    @property
    def is_negated(self) -> jax.Array:
        """[] bool, whether the goal is."""
        return self.task.goals.negated[0, 0, 0] == 1

    @property
    def asked(self) -> jax.Array:
        """[2, R] uint8, what rules ask for."""
        return jnp.stack([self.task.rules.first, self.task.rules.second])

    @property
    def is_rule(self) -> jax.Array:
        """[R] bool."""
        return self.task.rules.relation != NEVER

    @property
    def is_first_rule(self) -> jax.Array:
        """[R] bool, the rule of the chain that nothing else of it has to fire for."""
        made = jnp.where(self.parts.is_chain[:, None], self.task.rules.products, 0).reshape(-1)
        is_made = (self.asked[:, :, None] == made) & (made != 0)  # [2, R, 3R]
        return self.parts.is_chain & ~is_made.any((0, 2))

    @property
    def begins_with(self) -> jax.Array:
        """[N] bool, objects that the first condition of the chain asks for, the goal's if there is no rule."""
        goal = jnp.stack([self.task.goals.first[0, 0, 0], self.task.goals.second[0, 0, 0]])
        of_rule = jnp.where(self.is_first_rule, self.asked, 0).reshape(-1)
        of_first = jnp.where(self.parts.is_chain.any(), of_rule[:, None] == self.task.object_kind, False).any(0)
        of_goal = (goal[:, None] == self.task.object_kind).any(0) & ~self.parts.is_chain.any()
        return (of_first | of_goal) & (self.task.object_kind != kinds.NOTHING) & ~self.is_double

    @property
    def is_double(self) -> jax.Array:
        """[N] bool, objects of a kind of which there are others."""
        same = self.task.object_kind[:, None] == self.task.object_kind
        return same.sum(1) > 1

    def fresh_kind(self, bits: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[] uint8 kind that the universe has and the task does not, and whether there is one."""
        config = self.universe.config
        all_kinds = np.array(
            [kinds.object_kind(shape, colour) for shape in config.shapes for colour in config.colours], np.uint8
        )
        task = self.task
        used = [task.object_kind, task.goals.first, task.goals.second, self.asked, task.rules.products]
        is_used = (all_kinds[:, None] == jnp.concatenate([leaf.reshape(-1) for leaf in used])).any(1)
        place, is_there = _pick(~is_used, bits)
        return jnp.asarray(all_kinds)[place], is_there


_Edited = tuple[Task, jax.Array]


def _swap_kind(about: _About, dice: chance.Dice) -> _Edited:
    """A kind of an object that is no key becomes another everywhere."""
    task = about.task
    slot, is_there = _pick((task.object_kind != kinds.NOTHING) & ~about.parts.is_key, dice.roll())
    old, (new, is_fresh) = task.object_kind[slot], about.fresh_kind(dice.roll())

    def rename(leaf: jax.Array) -> jax.Array:
        return jnp.where(leaf == old, new, leaf)

    goals, rules, hidden = task.goals, task.rules, task.hidden
    edited = dataclasses.replace(
        task,
        object_kind=rename(task.object_kind),
        goals=dataclasses.replace(goals, first=rename(goals.first), second=rename(goals.second)),
        rules=dataclasses.replace(
            rules, first=rename(rules.first), second=rename(rules.second), products=rename(rules.products)
        ),
        hidden=dataclasses.replace(hidden, kinds=rename(hidden.kinds)),
    )
    return edited, is_there & is_fresh


def _add_rule(about: _About, dice: chance.Dice) -> _Edited:
    """What the chain begins with is made of another kind by agent 0, which holds it or comes to it."""
    task, config = about.task, about.universe.config
    slot, is_there = _pick(about.begins_with, dice.roll())
    kind, (new, is_fresh) = task.object_kind[slot], about.fresh_kind(dice.roll())
    names = [name for name in _BY_AGENT if name in rule_relations(about.universe.env_config, config)]
    if not names:
        return task, jnp.asarray(False)
    codes = jnp.array([RELATIONS.index(name) + 1 for name in names], jnp.uint8)
    relation = codes[below(dice.roll(), len(names)).astype(jnp.int32)]
    # Were it made where it lies, a dead end about it might hold there; and what is frozen cannot be held.
    is_spoilt = (jnp.where(about.parts.is_dead_end, about.asked, 0) == kind).any()
    is_frozen = task.object_frozen[slot] == 1
    is_right = jnp.where(relation == HOLD, ~is_frozen, ~is_spoilt)
    # A negated goal without rules is about what is there at the start.
    is_right &= ~about.is_negated | about.parts.is_chain.any()
    rules, is_hidden, has_room = _with_rule(about, relation, jnp.uint8(AGENT), new, kind, dice)
    edited = dataclasses.replace(
        task,
        object_kind=task.object_kind.at[slot].set(new),
        rules=rules,
        hidden=dataclasses.replace(task.hidden, rules=is_hidden),
    )
    return edited, is_there & is_fresh & is_right & has_room


def _drop_rule(about: _About, dice: chance.Dice) -> _Edited:
    """What the chain's first rule makes is there from the start, in the place of what it is made of."""
    task = about.task
    rule, is_there = _pick(about.is_first_rule, dice.roll())
    first, second = task.rules.first[rule], task.rules.second[rule]
    replaced = jnp.where(is_agent(first), second, first)
    is_replaced = task.object_kind == replaced
    product = task.rules.products[rule, 0]
    edited = dataclasses.replace(
        _without_rule(task, rule), object_kind=jnp.where(is_replaced, product, task.object_kind)
    )
    return edited, is_there & ~about.is_negated & (is_replaced.sum() == 1)


def _add_false_rule(about: _About, dice: chance.Dice) -> _Edited:
    """A decoy about a distractor that is picked up; or a dead end about it and what agent 0 has to pick up."""
    task, config = about.task, about.universe.config
    relations = rule_relations(about.universe.env_config, config)
    may_move = task.object_frozen == 0
    bait, has_bait = _pick(about.parts.is_distractor & may_move, dice.roll())
    bait_kind, (made, is_fresh) = task.object_kind[bait], about.fresh_kind(dice.roll())
    is_by_hand = (about.task.rules.relation == HOLD) & about.is_first_rule
    goal = jax.tree.map(lambda field: field[0, 0, 0], task.goals)
    is_goal_by_hand = (goal.relation == HOLD) & ~about.parts.is_chain.any()
    picked_up, can_spoil = _pick(about.begins_with & may_move & (is_by_hand.any() | is_goal_by_hand), dice.roll())
    spoiling = [RELATIONS.index(name) + 1 for name in ("touch", "near") if name in relations]
    is_dead_end = can_spoil & bool(spoiling) & (dice.roll() & 1 == 1)
    bits, is_swapped = dice.roll(), dice.roll() & 1 == 1
    spoils = jnp.array(spoiling or [NEVER], jnp.uint8)[below(bits, max(len(spoiling), 1)).astype(jnp.int32)]
    pair = jnp.stack([task.object_kind[picked_up], bait_kind])
    pair = jnp.where(is_swapped, pair[::-1], pair)
    first = jnp.where(is_dead_end, pair[0], jnp.uint8(AGENT))
    second = jnp.where(is_dead_end, pair[1], bait_kind)
    relation = jnp.where(is_dead_end, spoils, jnp.uint8(HOLD))
    rules, is_hidden, has_room = _with_rule(about, relation, first, second, made, dice)
    edited = dataclasses.replace(task, rules=rules, hidden=dataclasses.replace(task.hidden, rules=is_hidden))
    return edited, has_bait & is_fresh & has_room & (is_dead_end | ("hold" in relations))


def _drop_false_rule(about: _About, dice: chance.Dice) -> _Edited:
    """A dead end or a decoy is gone."""
    rule, is_there = _pick(about.parts.is_dead_end | about.parts.is_decoy, dice.roll())
    return _without_rule(about.task, rule), is_there


def _move_object(about: _About, dice: chance.Dice) -> _Edited:
    """An object goes to another free cell.

    Where there are dead ends only distractors move that no rule is about: what bait may not be near was decided when
    it was placed. Nor does anything that is frozen, a key, or of a negated goal.
    """
    task, parts = about.task, about.parts
    has_dead_end = parts.is_dead_end.any()
    is_asked = (task.object_kind[:, None] == about.asked.reshape(-1)).any(1)
    may_move = (task.object_kind != kinds.NOTHING) & ~parts.is_key & (task.object_frozen == 0)
    may_move &= jnp.where(has_dead_end, parts.is_distractor & ~is_asked, ~about.is_negated | parts.is_distractor)
    slot, is_there = _pick(may_move, dice.roll())
    free = free_cells(task, keeps_blocks=has_dead_end)
    cell, has_room = _pick(free.reshape(-1), dice.roll())
    width = task.terrain.shape[1]
    place = jnp.stack([cell // width, cell % width]).astype(jnp.uint8)
    position = task.object_position.at[slot].set(place)
    # Objects are numbered in the order of the map; empty slots come last, as their rows are below all others.
    order = jnp.argsort(position[:, 0].astype(jnp.int32) * 256 + position[:, 1], stable=True)
    edited = dataclasses.replace(
        task,
        object_kind=task.object_kind[order],
        object_position=position[order],
        object_frozen=task.object_frozen[order],
    )
    return edited, is_there & has_room


def _hide(about: _About, dice: chance.Dice) -> _Edited:
    """A rule is hidden from agent 0 or shown to it; or the last kind or relation that is hidden from it is shown."""
    task, hidden = about.task, about.task.hidden
    rule, has_rule = _pick(about.is_rule, dice.roll())
    has_kinds, has_relations = (hidden.kinds[0] != 0).any(), (hidden.relations[0] != 0).any()
    by_rule = ~has_kinds & ~has_relations
    toggled = hidden.rules.at[0, rule].set(~hidden.rules[0, rule])

    def without_last(row: jax.Array) -> jax.Array:
        return row.at[0, jnp.maximum((row[0] != 0).sum() - 1, 0)].set(0)

    edited = dataclasses.replace(
        hidden,
        rules=jnp.where(by_rule, toggled, hidden.rules),
        kinds=jnp.where(has_kinds, without_last(hidden.kinds), hidden.kinds),
        relations=jnp.where(has_relations, without_last(hidden.relations), hidden.relations),
    )
    can_hide_rules = "rule" in about.universe.config.hidden_ways
    return dataclasses.replace(task, hidden=edited), jnp.where(by_rule, has_rule & can_hide_rules, True)


def _with_rule(
    about: _About, relation: jax.Array, first: jax.Array, second: jax.Array, product: jax.Array, dice: chance.Dice
) -> tuple[Rules, jax.Array, jax.Array]:
    """The rules with one more, in a new random order; [A, R] which are hidden; and whether there is room for it.

    The new one is hidden from an agent by chance if other whole rules are, and surely if all are.
    """
    task, rules, is_rule = about.task, about.task.rules, about.is_rule
    number, size = is_rule.sum(), is_rule.shape[0]
    slot = jnp.minimum(number, size - 1)
    has_room = number < size
    values = Rules(
        relation=relation,
        directions=jnp.where(relation == TOUCH, jnp.uint8(ALL_DIRECTIONS), jnp.uint8(0)),
        first=first,
        second=second,
        products=jnp.stack([product, jnp.uint8(0), jnp.uint8(0)]),
    )
    more = jax.tree.map(lambda row, value: row.at[slot].set(value), rules, values)
    of_rules = task.hidden.rules
    is_all = (of_rules | ~is_rule).all(1)
    is_new_hidden = of_rules.any(1) & (is_all | (dice.roll(of_rules.shape[0]) & 1 == 1))
    is_hidden = of_rules.at[:, slot].set(is_new_hidden)
    order = jnp.argsort(chance.shuffle(dice.roll(size), jnp.arange(size) <= number))
    return jax.tree.map(lambda row: row[order], more), is_hidden[:, order], has_room


def _without_rule(task: Task, rule: jax.Array) -> Task:
    """The task without one of its rules; the others close up."""
    size = task.rules.relation.shape[0]
    index = jnp.arange(size)
    source = jnp.minimum(index + (index >= rule), size - 1)
    is_last = index == size - 1

    def close(row: jax.Array) -> jax.Array:
        moved = row[source]
        return jnp.where(is_last.reshape(-1, *(1,) * (row.ndim - 1)), jnp.zeros_like(row), moved)

    hidden = dataclasses.replace(task.hidden, rules=jax.vmap(close)(task.hidden.rules))
    return dataclasses.replace(task, rules=jax.tree.map(close, task.rules), hidden=hidden)


def _pick(mask: jax.Array, bits: jax.Array) -> tuple[jax.Array, jax.Array]:
    """[] int32, where one of the true of a mask is, uniformly, 0 if there is none; and whether there is one."""
    number = mask.sum(dtype=jnp.int32)
    place = chance.nth_true(mask, below(bits, number).astype(jnp.int32))
    return jnp.where(number > 0, jnp.minimum(place, mask.shape[0] - 1), 0), number > 0
