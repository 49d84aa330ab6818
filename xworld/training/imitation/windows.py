"""Windows of recorded histories as rollouts, for learners."""

import jax
import jax.numpy as jnp

from xworld.agents import Agent
from xworld.core.env import Env
from xworld.histories import Windows
from xworld.training.rollouts.episodes import task_ids
from xworld.training.rollouts.rollout import Context, Rollout, Steps, is_present


def as_rollout(env: Env, agent: Agent, windows: Windows, target: jax.Array, burn_in: int) -> Rollout:
    """The rollout [L, B, ...] of windows, each of one task, of whose steps `target` is to be done.

    The memory is empty at a window's start. What is not kept has no weight. Of windows that do not begin where their
    stream does, the first `burn_in` steps have none: what came before them would have to be known. An agent that
    forgets at trials counts from the first trial on that is seen to begin.

    Args:
      env: that was played in.
      agent: that is trained.
      windows: what was seen and done.
      target: [L, B, A] actions.
      burn_in: steps.
    """
    length, num_windows = windows.is_first.shape
    number = jnp.arange(length)[:, None]
    is_kept = number < windows.num_kept
    is_counted = windows.is_start | (number >= burn_in)
    is_reset = windows.is_first & (number == 0)  # memory lasts through a stream, also where episodes follow each other
    if agent.config.clear_memory_at_trials:
        is_trial_first = windows.is_first | windows.is_trial_first
        is_counted, is_reset = jnp.cumsum(is_trial_first, axis=0) > 0, is_trial_first
    tasks = jax.tree.map(lambda leaf: leaf[windows.piece[0]], windows.tasks)
    briefings = jax.vmap(env.briefing)(tasks)
    nothing = jnp.zeros(target.shape, jnp.float32)
    steps = Steps(
        weight=is_present(windows.observation) * (is_counted & is_kept)[..., None],
        task_id=jnp.broadcast_to(task_ids(tasks), (length, num_windows, 2)),
        observation=windows.observation,
        is_reset=is_reset,
        is_next_task=jnp.zeros(is_reset.shape, bool),
        action=target.astype(jnp.int32),
        log_probability=nothing,
        value=nothing,
        reward=windows.reward,
        discount=windows.discount,
    )
    context = Context((tasks, tasks), (briefings, briefings), agent.start_memory(num_windows), nothing[0])
    return Rollout(steps, context)
