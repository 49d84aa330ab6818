"""What an agent's values mean: normalised returns, and the running moments that normalise them."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

_LEAST_DEVIATION = 1e-2  # floor of the returns' standard deviation


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ReturnScale:
    """Running moments of the returns, by which they become what the network's values are: of mean 0 and variance 1.

    Exponential averages over updates, bias-corrected, as in Adam.
    """

    mean: jax.Array  # [] float32
    variance: jax.Array  # [] float32; no mean of squares, of which large means would leave no digits
    weight: jax.Array  # [] float32, 1 less the share of the beginning in the averages

    @staticmethod
    def start() -> "ReturnScale":
        """Nothing seen: values are returns."""
        return ReturnScale(*jnp.zeros((3,), jnp.float32))

    def update(self, mean: jax.Array, variance: jax.Array, decay: float) -> "ReturnScale":
        """With mean and variance of one update's returns: moments of the mixture of all updates, by their weights."""
        weight = decay * self.weight + (1 - decay)
        share, change = (1 - decay) / weight, mean - self.mean
        spread = (1 - share) * (self.variance + share * jnp.square(change)) + share * variance
        return ReturnScale(self.mean + share * change, spread, weight)

    def to_returns(self, values: jax.Array) -> jax.Array:
        """[...] returns from [...] values."""
        return values * self.deviation + self.mean

    def to_values(self, returns: jax.Array) -> jax.Array:
        """[...] values from [...] returns."""
        return (returns - self.mean) / self.deviation

    @property
    def deviation(self) -> jax.Array:
        """[] float32, the unit of values: the returns' standard deviation, .01 at least; 1 until any were seen."""
        deviation = jnp.maximum(jnp.sqrt(self.variance), _LEAST_DEVIATION)
        return jnp.where(self.weight > 0, deviation, 1.0)
