"""`TaskInference`: a head on the agent's features says what makes the goal, which has to be found out and kept."""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

from xworld.agents import Output
from xworld.core.step.goals import told_goal
from xworld.core.step.rules import kind_taken
from xworld.core.types import Rules
from xworld.training.learners.terms.head import KIND_LOGITS, apply_head, init_head, kind_loss, likeliest_kind
from xworld.training.rollouts.rollout import Rollout, Steps, pick_told


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TaskInference:
    """Cross-entropy of the kind that a rule takes to make what the present goal asks for.

    Whether the agent is told the rule or not: in training the loss, and nothing else, knows all. Shape and colour are
    said each by itself. Where no rule makes anything that the goal asks for there is no loss. Source: Humplik et al.
    2019, "Meta reinforcement learning as task inference", https://arxiv.org/abs/1905.06424
    """

    weight: float = field(default=0.5, metadata={"static": True})
    name: str = field(default="inference", metadata={"static": True})

    @property
    def about(self) -> str:
        """What tells it from another of its class."""
        return f"weight {self.weight}"

    def init(self, key: jax.Array, output: Output) -> dict[str, jax.Array]:
        """Kernels [M, 64] and [64, 32], which is zeros, and biases: logits of a kind's halves."""
        return init_head(key, output.features.shape[-1], KIND_LOGITS)

    def start(self, num_envs: int) -> tuple[()]:
        """Nothing is carried."""
        return ()

    def follow(self, carry: tuple[()], rollout: Rollout) -> tuple[tuple[()], jax.Array]:
        """[T, B, A] int32, what has to be taken at each step; 0 for nothing."""
        steps, context = rollout.steps, rollout.context
        rules = pick_told(steps.is_next_task, *(task.rules for task in context.tasks))
        goal = told_goal(steps.observation, pick_told(steps.is_next_task, *context.briefings))
        return (), source_of(rules, goal)

    def loss(
        self, own: dict[str, jax.Array], output: Output, steps: Steps, extra: jax.Array, progress: jax.Array
    ) -> jax.Array:
        """[T, B, A] weighted losses."""
        said = kind_loss(apply_head(own, output.features), extra)
        return self.weight * jnp.where(extra > 0, said, 0)

    def answer(self, own: dict[str, jax.Array], output: Output) -> jax.Array:
        """[..., A] int32, the kind that the head takes for the likeliest."""
        return likeliest_kind(apply_head(own, output.features))


def source_of(rules: Rules, goal: jax.Array) -> jax.Array:
    """[..., A] int32, the kind that the first rule takes which makes something that a goal asks for.

    Args:
      rules: [..., R], and products [..., R, 3].
      goal: [..., A, C, L, 5] uint8. What its negated literals name is not asked for.

    Returns:
      The kind; 0 where no rule makes any such thing, or the rule takes no object.
    """
    asked = jnp.where(goal[..., 4:] > 0, 0, goal[..., 2:4])
    asked = asked.reshape(*goal.shape[:-3], 1, -1, 1)  # [..., A, 1, C * L * 2, 1]
    products = rules.products[..., None, :, None, :]  # [..., 1, R, 1, 3]
    makes = ((products == asked) & (asked > 0)).any((-1, -2))  # [..., A, R]
    first = jnp.argmax(makes, axis=-1)
    taken = jnp.take_along_axis(kind_taken(rules), first, axis=-1)
    return jnp.where(makes.any(-1), taken, 0)
