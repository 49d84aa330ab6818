"""From bytes to vectors: what the agent sees and feels, and what it is told."""

import jax
import jax.numpy as jnp
from flax import nnx

from xworld.agents.network.config import AgentConfig
from xworld.agents.network.linear import Linear, multiply
from xworld.core import kinds as kinds_
from xworld.core.config import MAX_AGENTS, EnvConfig
from xworld.core.step.actions import NUM_ACTIONS
from xworld.core.step.relations import NEVER
from xworld.core.types import Briefing, Observation

_NUM_SCALARS = 4


class ByteEmbedding(nnx.Module):
    """Embeds bytes `high * 16 + low` as the sum of one vector for each half, so that unseen pairs make sense.

    For a kind the halves are shape and colour. The table of all 256 sums is made once a call, so that a byte costs one
    gather.
    """

    def __init__(self, config: AgentConfig, rngs: nnx.Rngs):
        """Vectors of `embedding_size` numbers."""
        self.dtype = config.compute_dtype
        self.high = _vectors(config, 16, rngs)
        self.low = _vectors(config, 16, rngs)

    def __call__(self, values: jax.Array) -> jax.Array:
        """[..., embedding_size] from [...] uint8."""
        table = (self.high[:, None, :] + self.low[None, :, :]).reshape(256, -1)
        return jnp.take(table.astype(self.dtype), values, axis=0)


def _vectors(config: AgentConfig, num: int, rngs: nnx.Rngs) -> nnx.Param[jax.Array]:
    """[num, embedding_size], one for each of so many values."""
    return nnx.Param(jax.random.normal(rngs.params(), (num, config.embedding_size), jnp.float32) * 0.5)


class Thermometer(nnx.Module):
    """Embeds counts of 0 and more: n is the sum of the first n vectors, of all `trials_told` if n is larger.

    The vectors start at zero and learn by the counts above theirs. So a count larger than any that was trained on
    means what the largest of these means, and not what a random start happens to say.
    """

    def __init__(self, config: AgentConfig):
        """Vectors of `embedding_size` numbers."""
        self.vectors = nnx.Param(jnp.zeros((config.trials_told, config.embedding_size), jnp.float32))

    def __call__(self, counts: jax.Array) -> jax.Array:
        """[..., embedding_size] from [...] int32."""
        table = jnp.pad(jnp.cumsum(self.vectors[...], axis=0), ((1, 0), (0, 0)))
        return jnp.take(table, jnp.minimum(counts, table.shape[0] - 1), axis=0)


class ObservationEncoder(nnx.Module):
    """View, hand, direction, last action and reward, and the clock, as one vector per agent."""

    def __init__(self, config: AgentConfig, env_config: EnvConfig, rngs: nnx.Rngs):
        """Vectors of `encoder_size` numbers."""
        self.dtype = config.compute_dtype
        self.terrain = ByteEmbedding(config, rngs)
        self.detail = ByteEmbedding(config, rngs)
        self.direction = _vectors(config, 4, rngs)
        self.last_action = _vectors(config, NUM_ACTIONS, rngs)
        self.trial = Thermometer(config)
        self.trials_left = Thermometer(config)
        num_vectors = env_config.view_size**2 + 5
        num_inputs = num_vectors * config.embedding_size + _NUM_SCALARS
        self.dense = Linear(num_inputs, config.encoder_size, dtype=self.dtype, rngs=rngs)
        self.modulation = Modulation(config, rngs) if config.modulates_view else None

    def __call__(self, observation: Observation, told: jax.Array, kinds: ByteEmbedding) -> jax.Array:
        """[..., A, encoder_size] from an observation with any leading axes.

        Args:
          observation: what is seen.
          told: [..., A, encoder_size] the first numbers of the encoded briefing, for `modulates_view`.
          kinds: embeds kinds.
        """
        view = observation.view
        batch = observation.held.shape  # [..., A]
        things, details = self._things(view[..., 1], view[..., 2], kinds)
        cells = self.terrain(view[..., 0]) + things + details
        cells = cells.reshape(*batch, -1, cells.shape[-1])  # [..., A, V * V, E]
        cells = nnx.relu(cells) if self.modulation is None else self.modulation(cells, told)

        time_left = observation.time_left.astype(jnp.float32)
        trial_length = observation.trial_length.astype(jnp.float32)
        clock = jnp.stack([time_left / trial_length, jnp.log1p(time_left) / 5, jnp.log1p(trial_length) / 5], axis=-1)
        features = [
            cells.reshape(*batch, -1),
            kinds(observation.held),
            jnp.take(self.direction[...], observation.direction, axis=0),
            jnp.take(self.last_action[...], observation.last_action, axis=0),
            _for_each_agent(self.trial(observation.trial), batch),
            _for_each_agent(self.trials_left(observation.trials_left), batch),
            observation.last_reward[..., None],
            _for_each_agent(clock, batch),
        ]
        return self.dense(jnp.concatenate([feature.astype(self.dtype) for feature in features], axis=-1))

    def _things(self, things: jax.Array, details: jax.Array, kinds: ByteEmbedding) -> tuple[jax.Array, jax.Array]:
        """[..., A, V, V, E] each, from [..., A, V, V] bytes: the things in the cells, and their details."""
        if things.shape[-3] == 1:
            return kinds(things), self.detail(details)
        of_agent = kinds(details) + self.direction[...].astype(self.dtype)[things & 3]
        is_agent = things >= kinds_.agent_kind(0)  # its detail is what it holds
        return kinds(_unturned(things, 2)), jnp.where(is_agent[..., None], of_agent, self.detail(details))


class Modulation(nnx.Module):
    """Cells as who is told something sees them: it scales and shifts their numbers, in all cells alike; then a ReLU.

    A dense layer over cells and what is told would have to learn for each kind and cell by itself that what is asked
    for stands there. This is FiLM: Perez et al. 2018, https://arxiv.org/abs/1709.07871
    """

    def __init__(self, config: AgentConfig, rngs: nnx.Rngs):
        """By `encoder_size` numbers of what is told."""
        self.dense = Linear(config.encoder_size, 2 * config.embedding_size, dtype=config.compute_dtype, rngs=rngs)

    def __call__(self, cells: jax.Array, told: jax.Array) -> jax.Array:
        """[..., V * V, E] from [..., V * V, E] cells and [..., encoder_size] what is told."""
        scale, shift = jnp.split(self.dense(told)[..., None, :], 2, axis=-1)
        return nnx.relu(cells * (1 + scale) + shift)


def kind_ahead(observation: Observation) -> jax.Array:
    """[..., A] uint8, the kind of what stands in the cell in front, 0 for nothing; another agent `as_seen`.

    Of an observation with any leading axes. Who sees one cell, its own, sees nothing ahead.
    """
    things = observation.view[..., 1]
    size = things.shape[-1]
    if size == 1:
        return jnp.zeros_like(observation.held)
    return _unturned(things[..., size - 2, size // 2], 0)  # it stands in the middle of the last row


def _unturned(things: jax.Array, num_axes: int) -> jax.Array:
    """The kinds of [..., A, *rest] things of a view, `as_seen`: an agent is there as 4 * its id + where it faces."""
    is_agent = things >= kinds_.agent_kind(0)
    kinds = jnp.where(is_agent, kinds_.agent_kind(0) + ((things & 15) >> 2), things).astype(jnp.uint8)
    return as_seen(kinds, num_axes)


def as_seen(kinds: jax.Array, num_axes: int) -> jax.Array:
    """Kinds as each agent has them: agent 0 is itself, 1 and up are the others in their order; the rest as they are.

    So that a goal about oneself is the same from every seat, and what is learned in one seat serves in all.

    Args:
      kinds: [..., A, *rest] uint8.
      num_axes: how many axes come after that of the agents.
    """
    num_agents = kinds.shape[-1 - num_axes]
    if num_agents == 1:
        return kinds
    seat = jnp.arange(num_agents, dtype=jnp.uint8).reshape(-1, *(1,) * num_axes)
    number = kinds & 15
    seen = jnp.where(number == seat, 0, number + (number < seat))
    return jnp.where(kinds >= kinds_.agent_kind(0), kinds_.agent_kind(0) + seen, kinds).astype(jnp.uint8)


def _for_each_agent(values: jax.Array, batch: tuple[int, ...]) -> jax.Array:
    """[..., A, X] from [..., X]."""
    return jnp.broadcast_to(values[..., None, :], (*batch, values.shape[-1]))


class BriefingEncoder(nnx.Module):
    """Goal and rules as one vector per agent. The order of the rules, clauses and literals does not matter.

    Agents in them are named from the seat of who is told (`as_seen`).

    Its last layer is linear, so that the vector is a sum: the goal's part may come later, with the observation. With
    `kinds_to_memory` the sum of the embeddings of what the goal names follows.
    """

    def __init__(self, config: AgentConfig, rngs: nnx.Rngs):
        """Vectors of `told_size` numbers, by hidden layers of `briefing_size`."""
        self.names_kinds = config.kinds_to_memory
        size, hidden_size, dtype = config.embedding_size, config.briefing_size, config.compute_dtype
        self.relation = _vectors(config, 256, rngs)  # hidden ones have codes of their own
        self.directions = _vectors(config, 16, rngs)
        self.negated = _vectors(config, 2, rngs)
        self.agent_id = _vectors(config, MAX_AGENTS, rngs)
        self.literal = Linear(5 * size, hidden_size, dtype=dtype, rngs=rngs)
        self.clause = Linear(hidden_size, hidden_size, dtype=dtype, rngs=rngs)
        self.rule = Linear(7 * size, hidden_size, dtype=dtype, rngs=rngs)
        self.rule_output = Linear(hidden_size, hidden_size, dtype=dtype, rngs=rngs)
        self.output = Linear(2 * hidden_size + size, config.encoder_size, dtype=dtype, rngs=rngs)

    def __call__(self, briefing: Briefing, kinds: ByteEmbedding) -> jax.Array:
        """[..., A, told_size] from a briefing with any leading axes; `kinds` embeds kinds."""
        rules = briefing.rules
        products = kinds(rules[..., 4:7]).reshape(*rules.shape[:-1], -1)
        hidden = nnx.relu(self.rule(self._embed_predicates(rules, as_seen(rules[..., 2:4], 2), products, kinds)))
        known = _sum_where(rules[..., 0] != NEVER, nnx.relu(self.rule_output(hidden)))

        agent = self.agent_id[...][briefing.agent_id]
        goals = jnp.zeros_like(known) if briefing.goal is None else self._encode_goal(briefing.goal, kinds)
        told = self.output(jnp.concatenate([goals, known, agent], axis=-1))
        if not self.names_kinds:
            return told
        no_goal = jnp.zeros((*known.shape[:-1], agent.shape[-1]), told.dtype)
        named = no_goal if briefing.goal is None else _named(briefing.goal, kinds)
        return jnp.concatenate([told, named], axis=-1)

    def goal_part(self, goal: jax.Array, kinds: ByteEmbedding) -> jax.Array:
        """[..., A, told_size] what a [..., A, C, L, 5] goal adds to the vector of a briefing without one."""
        goals = self._encode_goal(goal, kinds)
        kernel = self.output.kernel[...][: goals.shape[-1]]
        told = multiply(goals, kernel.astype(goals.dtype))
        return jnp.concatenate([told, _named(goal, kinds)], axis=-1) if self.names_kinds else told

    def _encode_goal(self, goal: jax.Array, kinds: ByteEmbedding) -> jax.Array:
        """[..., A, briefing_size]."""
        operands, negated = as_seen(goal[..., 2:4], 3), self.negated[...][goal[..., 4]]
        literals = nnx.relu(self.literal(self._embed_predicates(goal, operands, negated, kinds)))
        is_literal = goal[..., 0] != NEVER  # [..., A, C, L]
        clauses = nnx.relu(self.clause(_sum_where(is_literal, literals)))
        return _sum_where(is_literal.any(-1), clauses)

    def _embed_predicates(
        self, rows: jax.Array, operands: jax.Array, rest: jax.Array, kinds: ByteEmbedding
    ) -> jax.Array:
        """Relation and directions of [..., 4+] uint8 rows, [..., 2] kinds, and the embedded `rest`, side by side."""
        pair = kinds(operands).reshape(*rows.shape[:-1], -1)
        relation, directions = self.relation[...][rows[..., 0]], self.directions[...][rows[..., 1]]
        return jnp.concatenate([relation, directions, pair, rest], axis=-1)


def _named(goal: jax.Array, kinds: ByteEmbedding) -> jax.Array:
    """[..., A, embedding_size] sum of the vectors of all that a [..., A, C, L, 5] goal names, but for oneself."""
    operands = as_seen(goal[..., 2:4], 3)
    is_named = (goal[..., :1] != NEVER) & (operands != kinds_.NOTHING) & (operands != kinds_.agent_kind(0))
    return jnp.where(is_named[..., None], kinds(operands), 0).sum(axis=(-4, -3, -2))


def _sum_where(mask: jax.Array, values: jax.Array) -> jax.Array:
    """[..., X], the sum over n of [..., n, X] where [..., n] `mask`; a sum, so that the order does not matter."""
    return jnp.where(mask[..., None], values, 0).sum(axis=-2)
