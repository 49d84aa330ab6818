"""`Prediction`: a head on the agent's features foretells what comes of the action, which makes features know more."""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

from xworld.agents import Output
from xworld.agents.network.linear import multiply
from xworld.core.step.actions import NUM_ACTIONS
from xworld.training.rollouts.rollout import Rollout, Steps

_HIDDEN_SIZE = 64
_VALUES = 16  # of each half of a byte: a shape and a colour


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Prediction:
    """Cross-entropies of the kind held and the kind ahead at the next timestep, and half the reward's squared error.

    One hidden layer reads the features and the action taken; what is next depends on both together. Shape and colour
    of a kind are foretold each by itself, and nothing is across the end of an episode or of a rollout.
    """

    weight: float = field(default=0.1, metadata={"static": True})
    name: str = field(default="prediction", metadata={"static": True})

    def init(self, key: jax.Array, output: Output) -> dict[str, jax.Array]:
        """Kernels [M + 7, 64] and [64, 65], which is zeros, and biases: logits of two kinds' halves, and a reward."""
        num_inputs, num_outputs = output.features.shape[-1] + NUM_ACTIONS, 4 * _VALUES + 1
        return {
            "hidden": jax.nn.initializers.lecun_normal()(key, (num_inputs, _HIDDEN_SIZE)),
            "hidden_bias": jnp.zeros(_HIDDEN_SIZE),
            "output": jnp.zeros((_HIDDEN_SIZE, num_outputs)),
            "output_bias": jnp.zeros(num_outputs),
        }

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
        hidden = jax.nn.relu(multiply(inputs, own["hidden"]) + own["hidden_bias"])
        found = multiply(hidden, own["output"]) + own["output_bias"]
        logits = found[..., :-1].reshape(*found.shape[:-1], 4, _VALUES)
        halves = jnp.stack([half for kind in ("held", "ahead") for half in jnp.divmod(extra[kind], _VALUES)], axis=-1)
        known = jnp.take_along_axis(jax.nn.log_softmax(logits), halves[..., None], axis=-1)[..., 0].sum(-1)
        rewards = 0.5 * jnp.square(found[..., -1] - steps.reward)
        return self.weight * (jnp.where(extra["has_next"], -known, 0) + rewards)
