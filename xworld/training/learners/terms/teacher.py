"""`Teacher`: the student is pulled towards a teacher along the student's own history (kickstarting)."""

import dataclasses
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xworld.agents import Agent, LoadedAgent, Output, Params
from xworld.agents.return_scale import ReturnScale
from xworld.base.checks import check_bool, check_fields, check_number, check_word
from xworld.base.configs import as_dict
from xworld.base.digest import digest
from xworld.base.errors import ConfigError
from xworld.core.config import EnvConfig
from xworld.training.learners.losses import value_loss
from xworld.training.learners.terms.term import Guidance, ScoreOf
from xworld.training.rollouts.rollout import Rollout, Steps, unroll

SCHEDULES = ("linear", "constant", "score")
# What decides the shape and the meaning of what an agent sees and is told.
_SEEN = (
    "num_agents", "max_rules", "max_goals", "goal_clauses", "goal_literals", "view_size", "see_through_walls",
    "relations",
)  # fmt: skip


@dataclass(frozen=True)
class TeachingConfig:
    """How much a student listens to its teacher, and for how long.

    Raises:
      ConfigError: a value out of range, or an unknown schedule.
    """

    weight: float = 1.0  # of KL(teacher || student), at the start of the run
    # "linear": the weight falls to 0 over `share`; "constant": it stays for `share`, then is 0; "score": it is times
    # 1 - student / teacher, by last-trial scores at the newest evaluation, until the student is as good
    schedule: str = "linear"
    share: float = 0.5  # of the run, after which the weight is 0; not for "score"
    value_weight: float = 0.5  # of half the squared difference of the values, which is added to the divergence
    l2: float = 0.0  # times half the squared norm of the student's parameters, as long as the weight is above 0
    scale_policy: bool = True  # whether the student's own policy gradient is times 1 - weight

    def __post_init__(self) -> None:
        check = partial(check_fields, self, owner="TeachingConfig")
        check(("weight", "value_weight", "l2"), partial(check_number, low=0))
        check(("share",), partial(check_number, low=0, high=1, excludes_low=True))
        check(("schedule",), partial(check_word, known=SCHEDULES))
        check(("scale_policy",), check_bool)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Teacher:
    """weight * (KL(teacher || student) + value_weight / 2 * (difference of values)^2), by a schedule.

    The teacher sees what the student sees, and has a memory of its own that runs along. Memory, sizes and encoder may
    differ from the student's. Values are compared as returns in units of reward, since each agent normalises returns by
    its own; a learner that normalises them too brings them into its own units (`in_values`). Their difference is then
    measured in the student's unit or the teacher's, whichever is larger: while a student earns hardly anything, its own
    is so small that nothing else would count in the gradient.
    Source: Schmitt et al. 2018, "Kickstarting deep reinforcement learning"; the schedule "score" is that of Agarwal et
    al. 2022, "Reincarnating reinforcement learning".
    """

    params: Params
    agent: Agent = field(metadata={"static": True})
    return_scale: ReturnScale | None = None  # what the teacher's values mean; without it they are returns
    config: TeachingConfig = field(default_factory=TeachingConfig, metadata={"static": True})
    score: Any = np.float32(np.nan)  # [] float32, what the teacher itself scores in last trials; see `measured`
    by_score: Any = np.float32(1)  # [] float32, 1 - student / teacher at the newest evaluation
    is_on: Any = np.bool_(True)  # [] bool, False when teaching is over: then the teacher no longer runs along
    name: str = field(default="teacher", metadata={"static": True})

    def init(self, key: jax.Array, output: Output) -> tuple[()]:
        """Nothing of its own is trained."""
        return ()

    def start(self, num_envs: int) -> Any:
        """The teacher's empty memory."""
        return self.agent.start_memory(num_envs)

    def follow(self, carry: Any, rollout: Rollout) -> tuple[Any, dict[str, jax.Array]]:
        """The teacher's memory after the rollout; logits [T, B, A, 7], returns [T, B, A] and their unit, 1, along it.

        Zeros, with an empty memory, where teaching is over: in a run that is made longer it may begin again.
        """

        def run(carry: Any) -> tuple[Any, dict[str, jax.Array]]:
            output = unroll(self.agent, self.params, rollout, memory=carry)
            value = output.value if self.return_scale is None else self.return_scale.to_returns(output.value)
            return output.memory, {"logits": output.logits, "value": value}

        def rest(carry: Any) -> tuple[Any, dict[str, jax.Array]]:
            _, extra = jax.eval_shape(run, carry)
            return self.start(rollout.steps.weight.shape[1]), jax.tree.map(
                lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), extra
            )

        memory, said = jax.lax.cond(self.is_on, run, rest, carry)
        return memory, said | {"unit": jnp.ones_like(said["value"])}

    def loss(
        self, own: tuple[()], output: Output, steps: Steps, extra: dict[str, jax.Array], progress: jax.Array
    ) -> jax.Array:
        """[T, B, A] weighted divergences of the policies and differences of the values."""
        loss = divergence(extra["logits"], output.logits)
        if self.config.value_weight:
            apart = value_loss(output.value, extra["value"]) / jnp.square(extra["unit"])
            loss += self.config.value_weight * apart
        return self.weight(progress) * loss

    def in_values(self, extra: dict[str, jax.Array], scale: ReturnScale) -> dict[str, jax.Array]:
        """The extra with the teacher's returns as values of the student, and the unit for their difference."""
        unit = 1.0 if self.return_scale is None else jnp.maximum(self.return_scale.deviation / scale.deviation, 1)
        return extra | {"value": scale.to_values(extra["value"]), "unit": unit * jnp.ones_like(extra["unit"])}

    def guide(self, progress: jax.Array) -> Guidance:
        """The weight; the policy gradient times 1 - weight, or whole; and the L2 penalty."""
        weight = self.weight(progress)
        own = 1 - jnp.minimum(weight, 1) if self.config.scale_policy else jnp.ones_like(weight)
        return Guidance(weight=weight, own=own, l2=jnp.where(weight > 0, self.config.l2, 0.0))

    def weight(self, progress: jax.Array) -> jax.Array:
        """[] float32, of teaching at this share of the run."""
        if self.config.schedule == "score":
            share = jnp.asarray(self.by_score, jnp.float32)
        elif self.config.schedule == "constant":
            share = (progress < self.config.share).astype(jnp.float32)
        else:
            share = jnp.clip(1 - progress / self.config.share, 0, 1)
        return jnp.where(self.is_on, self.config.weight * share, 0.0)

    @property
    def about(self) -> str:
        """What tells it from another teacher: its parameters' digest, and how it is listened to."""
        listened = ", ".join(f"{name} {value}" for name, value in as_dict(self.config).items())
        return f"parameters {digest((self.params, self.return_scale))[:16]}, {listened}"

    def measured(self, score_of: ScoreOf) -> "Teacher":
        """With its own last-trial score, where the schedule compares it with the student's.

        Raises:
          ConfigError: it earns nothing, so that nothing can be compared with it.
        """
        if self.config.schedule != "score":
            return self
        score = score_of(self.agent, self.params)
        if not score > 0:
            raise ConfigError(
                f"The teacher's last-trial score is {score:.3g}: the student cannot be compared with it. Choose "
                "another teacher, or write schedule 'linear' in its TeachingConfig."
            )
        return dataclasses.replace(self, score=np.float32(score))

    def evaluated(self, score: float, progress: float) -> "Teacher":
        """As it goes on after the student was evaluated.

        By score, teaching is over for good when the weight came to 0.

        Args:
          score: the student's, of last trials.
          progress: share of the run that is done.
        """
        if self.config.schedule != "score":
            return dataclasses.replace(self, is_on=np.bool_(progress < self.config.share))
        left = min(max(1 - score / float(self.score), 0.0), 1.0) if self.is_on else 0.0
        return dataclasses.replace(self, by_score=np.float32(left), is_on=np.bool_(left > 0))


def make_teacher(
    loaded: LoadedAgent, student: Agent, env_config: EnvConfig, config: TeachingConfig, *, name: str = "teacher"
) -> Teacher:
    """A trained agent as the teacher of `student`, which is trained in environments of `env_config`.

    Args:
      loaded: the trained agent.
      student: the network of the run.
      env_config: of the run.
      config: how the teacher is listened to.
      name: by which metrics call it; several teachers of one run need names of their own.

    Raises:
      ConfigError: they do not see the same, empty their memories at other times, or nobody knows what the teacher's
        values mean.
    """
    theirs, ours = loaded.env_config, env_config
    changed = [name for name in _SEEN if getattr(theirs, name) != getattr(ours, name)]
    if changed:
        pairs = "; ".join(f"{name}: {getattr(theirs, name)} there, {getattr(ours, name)} here" for name in changed)
        raise ConfigError(
            f"The teacher sees something else than the student ({pairs}). Choose a teacher that was trained with the "
            "same of these; memory, sizes and encoder may differ."
        )
    clears = [isinstance(agent, Agent) and agent.config.clear_memory_at_trials for agent in (loaded.agent, student)]
    if clears[0] != clears[1]:
        raise ConfigError(
            f"clear_memory_at_trials is {clears[0]} of the teacher and {clears[1]} of the student. Choose a teacher "
            "whose memory lasts as long as the student's."
        )
    if loaded.return_scale is None and config.value_weight:
        raise ConfigError(
            "The teacher was saved without its return_scale, so that its values cannot be compared. Write a "
            "value_weight of 0 in its TeachingConfig (--teaching.value-weight 0)."
        )
    return Teacher(loaded.params, loaded.agent, loaded.return_scale, config, name=name)


def divergence(logits: jax.Array, others: jax.Array) -> jax.Array:
    """[...] KL(p || q) of the distributions that [..., 7] logits and others stand for."""
    log_p, log_q = jax.nn.log_softmax(logits), jax.nn.log_softmax(others)
    return (jnp.exp(log_p) * (log_p - log_q)).sum(-1)
