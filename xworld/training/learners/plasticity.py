"""What keeps a network able to learn, or shows that it is: resets, continual backprop, and two measures.

All of it is about the two heads of `xworld.agents.Agent`: each has a hidden layer of units that read the agent's
features, and an output layer that reads these.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from xworld.agents import Agent, Output, Params
from xworld.base.checks import check_bool, check_fields, check_number, check_whole, check_word
from xworld.base.errors import ConfigError
from xworld.training.learners.learner import Metrics

_OUTPUTS = {"policy": "policy_output", "value": "value_output"}  # of each hidden layer, the layer that reads it
RESETS: dict[str, tuple[str, ...]] = {
    "none": (),
    "outputs": tuple(_OUTPUTS.values()),
    "heads": (*_OUTPUTS, *_OUTPUTS.values()),
}
_SHARE_OF_RANK = 0.99

Activity = dict[str, jax.Array]


@dataclass(frozen=True)
class PlasticityConfig:
    """Resets (Nikishin et al. 2022), continual backprop (Dohare et al. 2024), and what is measured. All off by default.

    Raises:
      ConfigError: a value out of range, or one that would have no effect.
    """

    reset: str = "none"  # layers that start anew, with Adam's moments: the "outputs" of both heads, or the "heads" ...
    reset_at: tuple[float, ...] = ()  # ... after these shares of the run, ascending
    replacement: float = 0.0  # continual backprop: share of each head's mature units that starts anew in an update
    maturity: int = 100  # updates for which a new unit is left alone
    utility_decay: float = 0.99  # per update, of the running mean of what a unit contributes
    measures: bool = False  # whether "dead_units" and "feature_rank" are reported

    def __post_init__(self) -> None:
        check = partial(check_fields, self, owner="PlasticityConfig")
        check(("reset",), partial(check_word, known=tuple(RESETS)))
        check(("replacement",), partial(check_number, low=0, high=1))
        check(("utility_decay",), partial(check_number, low=0, high=1, excludes_high=True))
        check(("maturity",), partial(check_whole, low=1))
        check(("measures",), check_bool)
        if not isinstance(self.reset_at, tuple | list):
            raise ConfigError(f"PlasticityConfig.reset_at is {self.reset_at!r}; write shares, such as (0.5,).")
        within = partial(check_number, low=0, high=1, excludes_low=True, excludes_high=True)
        shares = tuple(within("A share of PlasticityConfig.reset_at", share) for share in self.reset_at)
        if list(shares) != sorted(set(shares)):
            raise ConfigError(f"PlasticityConfig.reset_at is {shares}; write each share once, in ascending order.")
        object.__setattr__(self, "reset_at", shares)
        if (self.reset == "none") != (not shares):
            raise ConfigError(
                f"PlasticityConfig.reset is {self.reset!r} and reset_at {shares}: nothing would be reset. Write both, "
                "such as reset='heads' and reset_at=(0.5,), or neither."
            )

    @property
    def changes(self) -> bool:
        """Whether anything starts anew."""
        return bool(self.reset_at or self.replacement)

    @property
    def looks(self) -> bool:
        """Whether it is looked at what the units do."""
        return bool(self.replacement or self.measures)

    def check(self, agent: Any) -> None:
        """Refuses a network whose layers are not known.

        Raises:
          ConfigError: it is one of the user's own, and something is to be reset or measured.
        """
        if (self.changes or self.looks) and not isinstance(agent, Agent):
            raise ConfigError(
                f"PPOConfig.plasticity knows the heads of xworld's own networks, not those of {type(agent).__name__}. "
                "Leave it out."
            )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Units:
    """What is known of the hidden units of one head."""

    utility: jax.Array  # [H] float32, running mean of activity times the size of the weights that read it, from 0 on
    age: jax.Array  # [H] int32, updates since it was new
    due: jax.Array  # [] float32, units that were to be replaced and are not yet, less than 1

    @staticmethod
    def start(num_units: int) -> "Units":
        """All of them new."""
        return Units(jnp.zeros(num_units, jnp.float32), jnp.zeros(num_units, jnp.int32), jnp.float32(0))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PlasticityState:
    """What is carried from one update to the next."""

    num_resets: jax.Array  # [] int32, done
    units: dict[str, Units]  # by hidden layer; empty without continual backprop


def start(config: PlasticityConfig, params: Params) -> PlasticityState | tuple[()]:
    """Before the first update; () where nothing ever starts anew."""
    if not config.changes:
        return ()
    layers: Any = params
    sizes = {name: layers[name]["bias"].shape[0] for name in _OUTPUTS} if config.replacement else {}
    return PlasticityState(jnp.int32(0), {name: Units.start(size) for name, size in sizes.items()})


def activity(config: PlasticityConfig, params: Params, output: Output, weights: jax.Array) -> Activity:
    """This device's share of what the units do in a minibatch: added up over the devices they are means.

    For each hidden layer [H] mean activations and [H] shares of steps with any; [M, M] mean products of features.
    Nothing where nothing is looked at.
    """
    if not config.looks:
        return {}
    layers: Any = params
    found: Activity = {}
    for name in _OUTPUTS:
        units = jax.nn.relu(output.features @ layers[name]["kernel"] + layers[name]["bias"])
        found[f"{name}_size"] = jnp.einsum("tba,tbah->h", weights, units)
        found[f"{name}_active"] = jnp.einsum("tba,tbah->h", weights, (units > 0).astype(jnp.float32))
    if config.measures:
        found["products"] = jnp.einsum("tba,tbam,tban->mn", weights, output.features, output.features)
    return found


def measure(config: PlasticityConfig, found: Activity) -> Metrics:
    """ "dead_units", the share of the heads' hidden units that were 0 at every step, and "feature_rank"."""
    if not config.measures:
        return {}
    active = jnp.concatenate([found[f"{name}_active"] for name in _OUTPUTS])
    return {"dead_units": (active == 0).mean(dtype=jnp.float32), "feature_rank": effective_rank(found["products"])}


def effective_rank(products: jax.Array) -> jax.Array:
    """[] float32, how many singular values of features add up to 99 % of the sum of all.

    Source: Kumar et al. 2021, "Implicit under-parameterization inhibits data-efficient deep reinforcement learning".

    Args:
      products: [M, M], mean over steps of features times features; its eigenvalues are squares of singular values.
    """
    values = jnp.sqrt(jnp.maximum(jnp.linalg.eigvalsh(products)[::-1], 0))
    shares = jnp.cumsum(values) / jnp.maximum(values.sum(), 1e-12)
    return 1 + (shares < _SHARE_OF_RANK).sum(dtype=jnp.float32)


def renew(
    config: PlasticityConfig,
    agent: Agent,
    params: Params,
    state: PlasticityState,
    found: Activity,
    key: jax.Array,
    progress: jax.Array,
) -> tuple[Params, Params, PlasticityState]:
    """After an update: parameters, of which some started anew; which ones did, as bools; and the next state.

    A reset draws its layers again. A unit that is replaced draws the weights by which it reads again, and those that
    read it are 0, so that it disturbs nothing. Replaced are the units of least utility that are mature.

    Args:
      config: what starts anew, and when.
      agent: the network.
      params: after the update, whole.
      state: from `start` or the last update.
      found: `activity` in the update, over all devices.
      key: the same on all devices.
      progress: [] share of the run that is done.
    """
    layers: Any = params
    num_due = (progress >= jnp.array(config.reset_at, jnp.float32)).sum(dtype=jnp.int32)
    num_resets = jnp.maximum(state.num_resets, num_due)  # fewer may be due where a run was made longer
    is_reset = num_resets > state.num_resets
    units, chosen = dict(state.units), {}
    for name, old in state.units.items():
        size = jnp.abs(layers[_OUTPUTS[name]]["kernel"]).sum(1)
        after, chosen[name] = _choose(config, old, found[f"{name}_size"] * size)
        if config.reset == "heads":
            after = jax.tree.map(partial(jnp.where, is_reset), Units.start(len(size)), after)
        units[name] = after
    is_any = jnp.stack([is_reset, *(is_new.any() for is_new in chosen.values())]).any()
    fresh = jax.lax.cond(is_any, agent.init, lambda _: params, key)
    read_by = {_OUTPUTS[name]: is_new[:, None] for name, is_new in chosen.items()}  # [H, 1] of each output layer

    def whether(path: Any, leaf: jax.Array) -> jax.Array:
        layer, is_kernel = path[0].key, leaf.ndim == 2
        is_new = is_reset & (layer in RESETS[config.reset]) | chosen.get(layer, False)
        return jnp.broadcast_to(is_new | (read_by.get(layer, False) if is_kernel else False), leaf.shape)

    def draw(path: Any, leaf: jax.Array) -> jax.Array:
        layer, is_kernel = path[0].key, leaf.ndim == 2
        if layer not in read_by or not is_kernel:
            return leaf
        return jnp.where(read_by[layer] & ~(is_reset & (layer in RESETS[config.reset])), 0.0, leaf)

    is_new = jax.tree.map_with_path(whether, params)
    renewed = jax.tree.map(jnp.where, is_new, jax.tree.map_with_path(draw, fresh), params)
    return renewed, is_new, PlasticityState(num_resets, units)


def _choose(config: PlasticityConfig, units: Units, contribution: jax.Array) -> tuple[Units, jax.Array]:
    """The units after an update, and [H] bool, which are replaced: mature ones of the least utility.

    Utilities begin at 0, and are compared without that: divided by 1 - decay^age, as in the code of Dohare et al.
    """
    decay = config.utility_decay
    utility, age = decay * units.utility + (1 - decay) * contribution, units.age + 1
    is_mature = age > config.maturity
    due = units.due + config.replacement * is_mature.sum(dtype=jnp.float32)
    number = jnp.floor(due)
    corrected = utility / (1 - decay ** age.astype(jnp.float32))
    rank = jnp.argsort(jnp.argsort(jnp.where(is_mature, corrected, jnp.inf)))
    is_new = is_mature & (rank < number)
    return Units(jnp.where(is_new, 0.0, utility), jnp.where(is_new, 0, age), due - number), is_new
