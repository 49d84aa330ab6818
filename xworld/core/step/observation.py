"""What agents see after a step, and what they are told before an episode."""

import jax
import jax.numpy as jnp

from xworld.base.xla.fusion import apart
from xworld.core import kinds
from xworld.core.config import EnvConfig
from xworld.core.step.goals import goals_of_trial, write_goal
from xworld.core.step.relations import HIDDEN_RULE, NEVER
from xworld.core.step.slots import count_slots, pick_slot
from xworld.core.step.view import OUT_OF_VIEW, draw, look, view_cell
from xworld.core.types import HAND, HAND_STEP, NOWHERE, Briefing, Observation, Rules, Scene, State, Task

HIDDEN_RELATION = 16  # a hidden relation is 16 + n


@apart
def observe(config: EnvConfig, state: State) -> Observation:
    """The observation of the state, of all agents."""
    task, scene = state.task, state.scene
    agents = jnp.arange(config.num_agents, dtype=jnp.uint8)
    hands = HAND + HAND_STEP * count_slots(config.num_agents, state.time)
    held = pick_slot(scene.object_row[:, None] == hands, scene.object_kind[:, None])  # [A, ...], at most one in a hand
    is_present = scene.agent_row != NOWHERE
    view = jax.vmap(lambda agent: _view(config, task, scene, held, agent))(agents)
    time, trial = state.time.astype(jnp.int32), state.trial.astype(jnp.int32)
    trial_length = task.trial_length.astype(jnp.int32)
    return Observation(
        view=jnp.where(is_present[:, None, None, None], view, 0),
        held=held,
        direction=scene.agent_direction,
        last_action=state.last_action,
        last_reward=state.last_reward,
        trial=trial,
        trials_left=task.num_trials.astype(jnp.int32) - trial - 1,
        time_left=trial_length - time,
        trial_length=trial_length,
        goal=write_goal(goals_of_trial(task, state.seed, state.trial)) if task.has_several_goals else None,
    )


def _view(config: EnvConfig, task: Task, scene: Scene, held: jax.Array, agent: jax.Array) -> jax.Array:
    """[V, V, 3, ...] uint8: terrain, what stands there, and one more about it; 0 where the agent cannot see."""
    row, column, direction = scene.agent_row[agent], scene.agent_column[agent], scene.agent_direction[agent]
    cells, is_visible = look(config, task, scene.door_state, row, column, direction)

    # A thing's detail rides on the highest bit of object kinds, which are below 128.
    cell = view_cell(config, row, column, direction, scene.object_row, scene.object_column)
    drawn = draw(jnp.zeros_like(cells), cell, scene.object_kind | (scene.object_frozen << 7))
    thing, detail = drawn & 127, drawn >> 7
    if config.num_agents > 1:
        others = count_slots(config.num_agents, row)
        cell = view_cell(config, row, column, direction, scene.agent_row, scene.agent_column)
        cell = jnp.where(others == agent, OUT_OF_VIEW, cell)  # the viewer itself is not drawn
        facing = (scene.agent_direction - direction) & 3  # clockwise from where the viewer looks
        thing = draw(thing, cell, kinds.agent_kind(0) + 4 * others + facing)
        detail = draw(detail, cell, held)
    view = jnp.where(is_visible[:, None], jnp.stack([cells, thing, detail], axis=1), 0)  # [V * V, 3, ...]
    return view.reshape(config.view_size, config.view_size, *view.shape[1:])


def brief(config: EnvConfig, task: Task) -> Briefing:
    """What each agent is told: its goal, unless it may change, and the rules as it may know them."""
    goal = None if task.has_several_goals else write_goal(task.goals)
    hidden = task.hidden
    rules = jax.vmap(lambda *masks: _mask_rules(task.rules, *masks))(hidden.rules, hidden.kinds, hidden.relations)
    return Briefing(goal=goal, rules=rules, agent_id=jnp.arange(config.num_agents, dtype=jnp.uint8))


def _mask_rules(rules: Rules, rule_mask: jax.Array, kinds_: jax.Array, relations: jax.Array) -> jax.Array:
    """[R, 7] uint8 rules with placeholders for the hidden kinds and relations, and whole rules blanked."""
    is_rule = rules.relation != NEVER
    is_relation_hidden, relation = _placeholders(rules.relation, relations, HIDDEN_RELATION)
    operands = jnp.concatenate([rules.first[:, None], rules.second[:, None], rules.products], axis=1)  # [R, 5]
    _, operands = _placeholders(operands, kinds_, kinds.PLACEHOLDER * 16)
    directions = jnp.where(is_relation_hidden, 0, rules.directions)
    row = jnp.concatenate([relation[:, None], directions[:, None], operands], axis=1)
    blank = jnp.zeros_like(row).at[:, 0].set(HIDDEN_RULE)
    return jnp.where((rule_mask & is_rule)[:, None], blank, row)


def _placeholders(values: jax.Array, hidden: jax.Array, base: int) -> tuple[jax.Array, jax.Array]:
    """Which of `values` are among the `hidden` ones, and the values with those replaced by base + n."""
    matches = (values[..., None] == hidden) & (hidden != 0)
    is_hidden = matches.any(-1)
    placeholder = (base + matches.argmax(-1)).astype(jnp.uint8)
    return is_hidden, jnp.where(is_hidden, placeholder, values)
