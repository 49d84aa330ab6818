"""An agent beside the policies that say what its scores mean, all on the same tasks."""

from collections.abc import Sequence

import jax
import numpy as np

from xworld.agents.players import EXPERT, SCRIPTED, plan_policy
from xworld.agents.policy import Policy
from xworld.base.errors import ConfigError
from xworld.core.env import Env
from xworld.core.keys import as_key
from xworld.core.types import State, Task, TimeStep, episode_lengths
from xworld.evaluation.episodes import episode_key, record_episode
from xworld.evaluation.protocol import check_tasks, evaluate, with_num_trials
from xworld.evaluation.reference import BY_EXPERTS_EPISODE, Reference
from xworld.evaluation.scores.scores import AGENT, Scores
from xworld.evaluation.scores.statistics import most_telling


def compare(
    env: Env,
    tasks: Task,
    agents: Sequence[Policy],
    key: jax.Array,
    num_trials: int | None = None,
    batch_size: int = 256,
    show_progress: bool = False,
) -> Scores:
    """Plays every task once with every policy.

    Scores are shares of what the expert earns in the same task and trial, from the same directions.

    Args:
      env: the environment the tasks are for.
      tasks: stacked tasks, leaves [num_tasks, ...], all with the same number of trials.
      agents: the policies that are the agent's, one for each seed it was trained with; may be empty.
      key: decides directions and chance, as in `evaluate`.
      num_trials: play this many trials instead of the tasks' own number.
      batch_size: how many tasks are played at a time.
      show_progress: whether to draw a progress bar while the expert plans.

    Raises:
      ConfigError: tasks with different numbers of trials, or none in which the expert earns something in every trial.
    """
    tasks = with_num_trials(tasks, num_trials)
    trials = np.asarray(tasks.num_trials)
    if trials.min() != trials.max():
        raise ConfigError(
            f"The tasks have {trials.min()} to {trials.max()} trials, so there is no one curve over trials. "
            "Set num_trials to play the same number of all."
        )

    def play(policy: Policy) -> np.ndarray:
        return evaluate(env, tasks, policy, key, batch_size=batch_size).returns[None]

    returns = {AGENT: np.concatenate([play(agent) for agent in agents])} if agents else {}
    returns |= {name: play(policy) for name, policy in SCRIPTED.items()}
    returns[EXPERT] = play(plan_policy(env, tasks, show_progress=show_progress))
    k = int(trials[0])
    reference = Reference(BY_EXPERTS_EPISODE, returns[EXPERT][0])
    return Scores({player: {k: played} for player, played in returns.items()}, reference)


def telling_episode(
    env: Env, tasks: Task, policy: Policy, key: jax.Array, scores: np.ndarray, num_looked_at: int = 32
) -> tuple[int, State, TimeStep]:
    """The episode that shows best how the agent explores in the first trial and goes straight in the last.

    Among the `num_looked_at` most telling ones by score (`most_telling`) it is the first in which the agent had
    something in its hand that was not rewarded in the first trial, and nothing like that in the last; if there is none,
    the first by score.

    Args:
      env: the environment the tasks are for.
      tasks: stacked tasks, as they were evaluated.
      policy: as it was evaluated.
      key: as it was evaluated.
      scores: [num_tasks, num_trials] of that evaluation.
      num_looked_at: how many episodes are played again.

    Returns:
      The task's index, and states and timesteps with leading axis T + 1, as `record` gives them.
    """
    ranking = most_telling(scores)[:num_looked_at]
    tasks, key = with_num_trials(tasks, scores.shape[1]), as_key(key)
    check_tasks(env, tasks)
    num_steps = episode_lengths(tasks)
    longest = int(num_steps[ranking].max())  # of all, so that one compiled function serves all

    def play(index: int) -> tuple[State, TimeStep]:
        task = jax.tree.map(lambda leaf: leaf[index], tasks)
        return record_episode(env, longest, task, policy, episode_key(key, index))

    def until_end(index: int, played: tuple[State, TimeStep]) -> tuple[int, State, TimeStep]:
        return index, *jax.tree.map(lambda leaf: leaf[: num_steps[index] + 1], played)

    for index in map(int, ranking):
        played = states, timesteps = play(index)
        held, reward = np.asarray(states.agent_held)[:, 0], np.asarray(timesteps.reward)[:, 0]
        # A new trial's first state has empty hands, so a pick in a trial's last step does not count.
        is_wrong = ((held >= 0) & (reward == 0))[: num_steps[index] + 1]
        trial = np.asarray(states.trial)[: num_steps[index] + 1]
        if is_wrong[trial == 0].any() and not is_wrong[trial == trial.max()].any():
            return until_end(index, played)
    best = int(ranking[0])
    return until_end(best, play(best))
