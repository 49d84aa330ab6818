"""`Prediction`: a head on the agent's features foretells what comes of the action, which makes features know more."""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

from xworld.agents import Output
from xworld.core.step.actions import NUM_ACTIONS
from xworld.training.rollouts.rollout import Rollout, Steps

_NUM_KINDS = 256  # bytes


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Prediction:
    """Cross-entropies of the kind held and the kind ahead at the next timestep, and half the reward's squared error.

    One linear layer reads the features and the action taken. Kinds are not foretold across the end of an
    episode or of a rollout.
    """

    weight: float = field(default=0.1, metadata={"static": True})
    name: str = field(default="prediction", metadata={"static": True})

    def init(self, key: jax.Array, output: Output) -> dict[str, jax.Array]:
        """A kernel [M + 7, 513] and a bias, zeros: logits of the two kinds, and a reward."""
        num_inputs, num_outputs = output.features.shape[-1] + NUM_ACTIONS, 2 * _NUM_KINDS + 1
        kernel, bias = jnp.zeros((num_inputs, num_outputs), jnp.float32), jnp.zeros(num_outputs, jnp.float32)
        return {"kernel": kernel, "bias": bias}

    def start(self, num_envs: int) -> tuple[()]:
        """Nothing is carried."""
        return ()

    def follow(self, carry: tuple[()], rollout: Rollout) -> tuple[tuple[()], dict[str, jax.Array]]:
        """What comes next at each step, and where there is a next step of the same episode."""
        steps = rollout.steps
        size = steps.observation.view.shape[-2]
        ahead = steps.observation.view[..., max(size - 2, 0), size // 2, 1]
        has_next = (steps.discount > 0).at[-1].set(False)
        following = {"held": steps.observation.held, "ahead": ahead}
        following = jax.tree.map(lambda leaf: jnp.roll(leaf, -1, axis=0).astype(jnp.int32), following)
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
        held, ahead, reward = jnp.split(inputs @ own["kernel"] + own["bias"], (_NUM_KINDS, 2 * _NUM_KINDS), axis=-1)
        kinds = _surprise(held, extra["held"]) + _surprise(ahead, extra["ahead"])
        rewards = 0.5 * jnp.square(reward[..., 0] - steps.reward)
        return self.weight * (jnp.where(extra["has_next"], kinds, 0) + rewards)


def _surprise(logits: jax.Array, kind: jax.Array) -> jax.Array:
    """[...] minus the log-probability that [..., 256] logits give the kind that came."""
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), kind[..., None], axis=-1)[..., 0]
