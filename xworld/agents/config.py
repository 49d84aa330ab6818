"""`AgentConfig`: the sizes of the network, fixed when it is compiled."""

import dataclasses
from dataclasses import dataclass

from xworld.errors import ConfigError


@dataclass(frozen=True)
class AgentConfig:
    """Static sizes and switches of an `Agent`. Hashable; two equal ones share compiled code.

    Raises:
      ConfigError: a size below 1.
    """

    embedding_size: int = 16  # of a shape, a colour, a relation, an action
    encoder_size: int = 128  # of the encoded observation that goes into the memory
    briefing_size: int = 64  # of the hidden layers that read the goal and the rules
    memory_size: int = 128  # of the GRU's hidden state
    head_size: int = 64  # of the hidden layer of the policy and of the value
    clear_memory_at_trials: bool = False  # the control experiment: an agent that cannot remember earlier trials

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type is bool or field.type == "bool":
                if not isinstance(value, bool):
                    raise ConfigError(f"AgentConfig.{field.name} is {value!r}; write True or False.")
            elif isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"AgentConfig.{field.name} is {value!r}; write a whole number of at least 1.")
