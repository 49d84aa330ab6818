"""`AgentConfig`: the kind of memory and the sizes of the network, fixed when it is compiled."""

import dataclasses
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp

from xworld.base.checks import check_bool, check_fields, check_whole
from xworld.base.errors import ConfigError, did_you_mean

# Fields that only some memories have.
_FIELDS_OF_MEMORIES: dict[str, tuple[str, ...]] = {
    "gru": ("gradient_window",),
    "gru_attention": ("gradient_window", "num_heads", "num_kept", "keep_every"),
    "gru_txl": ("gradient_window", "num_heads", "num_kept", "keep_every", "kept_size", "feed_forward_size"),
    "transformer_xl": ("num_heads", "num_layers", "feed_forward_size", "window", "cache_size"),
    "gated_delta": ("gradient_window", "num_heads", "num_layers", "feed_forward_size"),
}
MEMORIES = tuple(_FIELDS_OF_MEMORIES)
DTYPES = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class AgentConfig:
    """Static sizes and switches of an `Agent`. Hashable; two equal ones share compiled code.

    Raises:
      ConfigError: an unknown memory or dtype, a size below 1, heads that do not divide, or a field that would do
        nothing.
    """

    embedding_size: int = 16  # of a shape, a colour, a relation, an action
    encoder_size: int = 128  # of the encoded observation that goes into the memory
    briefing_size: int = 64  # of the hidden layers that read the goal and the rules
    memory: str = "gru"  # or "gru_attention", "gru_txl", "transformer_xl", "gated_delta"
    memory_size: int = 128  # of the GRU's hidden state, or of the layers of a transformer or of gated_delta
    head_size: int = 64  # of the hidden layer of the policy and of the value
    gradient_window: int | None = None  # recurrent memories: steps after which no gradient goes back; None: a rollout
    num_heads: int = 4  # of attention, or of gated_delta: matrices of a layer
    num_kept: int = 64  # gru_attention, gru_txl: activations that are kept ...
    keep_every: int = 8  # ... one in so many steps
    kept_size: int | None = None  # gru_txl: numbers of an activation that is kept; None: memory_size
    num_layers: int = 2  # transformer_xl, gated_delta
    feed_forward_size: int = 512  # not of gru, gru_attention: width of an ungated layer of as many parameters
    window: int = 64  # transformer_xl: steps that are unrolled, and learned from, at once
    cache_size: int = 128  # transformer_xl: steps that one can look at in each layer, itself included
    modulates_view: bool = False  # whether what is told says how the cells of the view are read (FiLM)
    kinds_to_memory: bool = False  # whether the memory is also given the kinds held, ahead and named by the goal
    trials_told: int = 6  # more trials than so many, before the present one or after it, are not told apart
    sees_trial_number: bool = True  # whether it is told which trial it is in; without it, it has to remember
    sees_things: bool = True  # whether it sees what stands in its view; without it, terrain and what it holds only
    clear_memory_at_trials: bool = False  # the control experiment: an agent that cannot remember earlier trials
    dtype: str = "auto"  # encoders and memory compute in "float32" or "bfloat16"; "auto" is float32 on a CPU only

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in ("memory", "dtype"):
                known = MEMORIES if field.name == "memory" else DTYPES
                if value not in known:
                    raise ConfigError(f"AgentConfig.{field.name} is {value!r}. {did_you_mean(str(value), known)}")
            elif isinstance(field.default, bool):
                check_fields(self, [field.name], check_bool, "AgentConfig")
            elif value is not None or field.default is not None:
                check_fields(self, [field.name], partial(check_whole, low=1), "AgentConfig")
        if not self.sees_trial_number and self.trials_told != AgentConfig.trials_told:
            raise ConfigError(
                f"AgentConfig.trials_told is {self.trials_told}, but sees_trial_number is False, so that no trials are "
                "told. Leave one of them out."
            )
        self._check_memory()

    @property
    def compute_dtype(self) -> jnp.dtype:
        """What encoders and memory compute in, on this machine. Parameters are float32 whatever it is."""
        if self.dtype == "auto":
            return jnp.dtype("float32" if jax.default_backend() == "cpu" else "bfloat16")
        return jnp.dtype(self.dtype)

    @property
    def told_size(self) -> int:
        """How many numbers there are in an encoded briefing: with `kinds_to_memory` what the goal names comes last."""
        return self.encoder_size + (self.embedding_size if self.kinds_to_memory else 0)

    @property
    def input_size(self) -> int:
        """How many numbers go into the memory: with `kinds_to_memory` three vectors of kinds come last."""
        return self.encoder_size + (3 * self.embedding_size if self.kinds_to_memory else 0)

    @property
    def reach(self) -> int:
        """How many steps back attention can look, the present one included; 0 of a memory that does not attend."""
        if self.memory == "transformer_xl":
            return self.cache_size
        return self.num_kept * self.keep_every + 1 if "num_kept" in _FIELDS_OF_MEMORIES[self.memory] else 0

    @property
    def size_kept(self) -> int:
        """How many numbers are kept of an activation: `kept_size`, or all."""
        return self.kept_size or self.memory_size

    def _check_memory(self) -> None:
        """Refuses heads that do not divide, and what would have no effect."""
        has = _FIELDS_OF_MEMORIES[self.memory]
        for field in dataclasses.fields(self):
            owners = [memory for memory, fields in _FIELDS_OF_MEMORIES.items() if field.name in fields]
            value = getattr(self, field.name)
            if owners and field.name not in has and value != field.default:
                raise ConfigError(
                    f"AgentConfig.{field.name} is {value}, but memory {self.memory!r} has no {field.name}. Leave it "
                    f"out, or write memory={owners[0]!r}."
                )
        if self.memory in ("transformer_xl", "gated_delta") and self.memory_size % self.num_heads:
            raise ConfigError(
                f"AgentConfig.memory_size is {self.memory_size}, which {self.num_heads} heads do not divide. "
                f"Write a multiple of num_heads, such as {-(-self.memory_size // self.num_heads) * self.num_heads}."
            )
        check_whole("AgentConfig.feed_forward_size", self.feed_forward_size, 2)
        if self.kept_size is not None:
            check_whole("AgentConfig.kept_size", self.kept_size, 1, self.memory_size)
