"""`Prediction`: a head on the agent's features foretells what comes of the action, which makes features know more."""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

from xworld.agents import Output
from xworld.agents.network.encoders import kind_ahead
from xworld.core.step.actions import NUM_ACTIONS
from xworld.training.learners.terms.head import KIND_LOGITS, apply_head, init_head, kind_loss
from xworld.training.rollouts.rollout import Rollout, Steps


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Prediction:
    """Cross-entropies of the kind held and the kind ahead at the next timestep, and half the reward's squared error.

    One hidden layer reads the features and the action taken; what is next depends on both together. Shape and colour
    of a kind are foretold each by itself, and nothing is across the end of an episode or of a rollout.
    """

    weight: float = field(default=0.1, metadata={"static": True})
    name: str = field(default="prediction", metadata={"static": True})

    @property
    def about(self) -> str:
        """What tells it from another of its class."""
        return f"weight {self.weight}"

    def init(self, key: jax.Array, output: Output) -> dict[str, jax.Array]:
        """Kernels [M + 7, 64] and [64, 65], which is zeros, and biases: logits of two kinds' halves, and a reward."""
        return init_head(key, output.features.shape[-1] + NUM_ACTIONS, 2 * KIND_LOGITS + 1)

    def start(self, num_envs: int) -> tuple[()]:
        """Nothing is carried."""
        return ()

    def follow(self, carry: tuple[()], rollout: Rollout) -> tuple[tuple[()], dict[str, jax.Array]]:
        """What comes next at each step, and where there is a next step of the same episode."""
        steps = rollout.steps
        has_next = (steps.discount > 0).at[-1].set(False)
        following = {"held": steps.observation.held, "ahead": kind_ahead(steps.observation)}
        following = jax.tree.map(lambda leaf: jnp.roll(leaf, -1, axis=0), following)
        return (), following | {"has_next": jnp.broadcast_to(has_next[..., None], steps.reward.shape)}

    def loss(
        self,
        own: dict[str, jax.Array],
        output: Output,
        steps: Steps,
        extra: dict[str, jax.Array],
        progress: jax.Array,
    ) -> jax.Array:
        """[T, B, A] weighted losses."""
        inputs = jnp.concatenate([output.features, jax.nn.one_hot(steps.action, NUM_ACTIONS)], axis=-1)
        foretold = apply_head(own, inputs)
        held, ahead = foretold[..., :KIND_LOGITS], foretold[..., KIND_LOGITS:-1]
        kinds = kind_loss(held, extra["held"]) + kind_loss(ahead, extra["ahead"])
        rewards = 0.5 * jnp.square(foretold[..., -1] - steps.reward)
        return self.weight * (jnp.where(extra["has_next"], kinds, 0) + rewards)
