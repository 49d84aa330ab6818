"""`ImitateConfig`: what is imitated, by which network, and on what that is judged."""

import dataclasses
from dataclasses import dataclass, field
from functools import partial
from math import inf

from xworld.agents import AgentConfig
from xworld.base.checks import check_fields, check_number, check_whole
from xworld.base.errors import ConfigError, did_you_mean
from xworld.training.imitation.learner import ImitationConfig

METHODS = {
    "ad": "the next action, from all that the window shows before it (Algorithm Distillation)",
    "dpt": "what the expert would do next, likewise (Decision-Pretrained Transformer)",
    "bc": "the next action, by an agent that forgets at every trial's start (behaviour cloning)",
}
AD, DPT, BC = METHODS


def imitator(window: int = 160, reach: int = 80) -> AgentConfig:
    """A small transformer, whose layers each see the last `reach` steps; it is not told which trial it is in."""
    return AgentConfig(
        embedding_size=8,
        encoder_size=64,
        briefing_size=32,
        memory="transformer_xl",
        memory_size=64,
        head_size=64,
        num_heads=2,
        num_layers=2,
        feed_forward_size=128,
        window=window,
        cache_size=reach,
        sees_trial_number=False,
    )


@dataclass(frozen=True)
class ImitateConfig:
    """All that decides the result, with the data.

    Raises:
      ConfigError: an unknown method, a value out of range, an agent that forgets where its method has it remember, or
        windows in which nothing could be learned from.
    """

    method: str = AD
    agent: AgentConfig = field(default_factory=imitator)
    learner: ImitationConfig = field(default_factory=ImitationConfig)
    keep: float = 1.0  # share of each stream, from its start on, that is learned from
    stop_at: float | None = None  # a stream is learned from until its last five trials earned so much on average
    start_share: float = 0.5  # how many windows begin where their stream does; the others may lie anywhere
    held_out_percent: int = 10  # share of the tasks, by a hash, whose streams are not learned from
    num_evaluations: int = 10  # during training; the best of these agents is kept
    num_played: int = 64  # tasks that are played then, once each; as many others at the end, for the report
    num_trials: int | None = None  # that are played of every task; by default as many as that with the most has
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(f"method is {self.method!r}. {did_you_mean(str(self.method), METHODS)}")
        check = partial(check_fields, self, owner="ImitateConfig")
        check(("keep",), partial(check_number, low=0, high=1, excludes_low=True))
        if self.stop_at is not None:
            check(("stop_at",), partial(check_number, low=-inf))
        check(("start_share",), partial(check_number, low=0, high=1))
        check(("held_out_percent",), partial(check_whole, low=0, high=99))
        check(("num_evaluations", "num_played"), partial(check_whole, low=1))
        check(("seed",), partial(check_whole, low=0, high=2**32 - 1))
        if self.num_trials is not None:
            check(("num_trials",), partial(check_whole, low=1, high=2**16 - 1))
        if self.agent.clear_memory_at_trials and self.method != BC:
            raise ConfigError(
                f"method is {self.method!r}, whose agent remembers earlier trials, and agent.clear_memory_at_trials is "
                f"set. Leave it out, or write {BC!r}."
            )
        if self.method != BC and self.start_share < 1 and self.learner.window <= self.burn_in:
            raise ConfigError(
                f"A window has {self.learner.window} steps, and of one that begins anywhere the first {self.burn_in} "
                "are not learned from. Make windows longer, the reach shorter, or start_share 1."
            )

    @property
    def agent_config(self) -> AgentConfig:
        """Of the network: for behaviour cloning, one that forgets."""
        return dataclasses.replace(self.agent, clear_memory_at_trials=self.method == BC)

    @property
    def burn_in(self) -> int:
        """Steps of a window from anywhere that only fill the memory: as far as a layer looks back. Not of `BC`."""
        return self.agent.reach - 1 if self.agent.reach else self.learner.window // 2
