"""What an agent remembers, in numbers: its score with less memory, what can be read from it, and where it looks."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xworld.agents import AgentPolicy, LoadedAgent
from xworld.agents.players import check_can_play
from xworld.base.checks import check_seed
from xworld.base.errors import ConfigError
from xworld.core.types import Task
from xworld.evaluation.episodes import in_order, make_batches
from xworld.evaluation.inspection.forgetful import Forgetful
from xworld.evaluation.inspection.probe import chance, probe
from xworld.evaluation.inspection.watching import Watched, watch
from xworld.evaluation.protocol import evaluate, with_num_trials
from xworld.evaluation.report.learning_curve import read_rows
from xworld.evaluation.scores.comparison import compare
from xworld.evaluation.scores.scores import Scores
from xworld.evaluation.scores.statistics import estimate
from xworld.evaluation.scores.summary import as_json, make_content
from xworld.tasks import TaskCollection

# The agent with less memory, by name: how many trials it remembers, the present one included.
FORGETFUL = {"last two trials": 2, "this trial only": 1}
# Where attention looks: disjoint, and all there is. The step before may be of an earlier trial, and then counts there.
PLACES = ("at_itself", "at_the_step_before", "at_the_rest_of_this_trial", "at_earlier_trials", "at_nothing")
FEWEST = 100  # episodes that a probe is made of
_QUARTERS = 4


def inspect_agent(
    loaded: LoadedAgent,
    collection: TaskCollection,
    num_trials: int,
    seed: int = 0,
    batch_size: int = 256,
    *,
    num_scored: int | None = None,
    show_progress: bool = False,
) -> dict[str, Any]:
    """What `inspection.json` says, as JSON types.

    Args:
      loaded: the agent.
      collection: tasks to play. All are watched, for the probe and for attention.
      num_trials: that are played of each.
      seed: decides directions and chance.
      batch_size: how many tasks are played at a time.
      num_scored: of these, the first that scores are of, for which the expert has to plan; by default all.
      show_progress: whether to draw a progress bar while the expert plans.

    Raises:
      ConfigError: fewer than two trials, fewer tasks than are scored, or tasks of another environment than the agent's.
    """
    check_can_play(loaded, collection.env.config)
    if num_trials < 2:
        raise ConfigError(f"With {num_trials} trials there is nothing to remember. Write a number of at least 2.")
    key, env = jax.random.key(check_seed(seed, "seed")), collection.env
    watched_tasks = jax.device_get(with_num_trials(collection.tasks, num_trials))
    tasks = watched_tasks
    if num_scored is not None:
        tasks = jax.device_get(with_num_trials(collection.first(num_scored).tasks, num_trials))
    whole = AgentPolicy(loaded.params, loaded.agent)
    scores = compare(env, tasks, [whole], key, batch_size=batch_size, show_progress=show_progress)
    less = {
        name: {num_trials: evaluate(env, tasks, policy, key, batch_size=batch_size).returns[None]}
        for name, policy in (
            (name, Forgetful(loaded.params, loaded.agent, number)) for name, number in FORGETFUL.items()
        )
    }
    scores = Scores({**scores.returns, **less}, scores.reference)
    watched = _watch(loaded, collection, watched_tasks, num_trials, key, batch_size)
    return {
        **make_content(scores, {}, {}, {}),
        "probe": _probe(watched, watched_tasks),
        "attention": _attention(watched),
    }


def training_signs(metrics: Path, clip: float) -> list[dict[str, float]]:
    """For each quarter of a run: the gradient's norm, how often it is above `clip`, kl, clip fraction, entropy.

    Args:
      metrics: a run's metrics.csv; each row is the mean over a chunk of updates.
      clip: the norm that gradients are cut to.

    Raises:
      ConfigError: the metrics cannot be read, or have no such columns or rows.
    """
    names, rows = ("gradient_norm", "kl", "clip_fraction", "entropy"), read_rows(metrics)
    try:
        values = np.array([[float(row[name]) for name in names] for row in rows]).reshape(-1, len(names))
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{metrics} has a row without {', '.join(names)}. Name a run's metrics.csv.") from error
    quarters = [part for part in np.array_split(values, _QUARTERS) if len(part)]
    if not quarters:
        raise ConfigError(f"{metrics} has no rows. Name the metrics.csv of a run that has trained.")
    return [
        dict(zip(names, part.mean(0).tolist(), strict=True)) | {"share_clipped": float((part[:, 0] > clip).mean())}
        for part in quarters
    ]


def _watch(
    loaded: LoadedAgent, collection: TaskCollection, tasks: Task, num_trials: int, key: jax.Array, batch_size: int
) -> Watched:
    """All tasks, played in batches of about one length. What is drawn does not depend on the batches."""
    num_steps = np.asarray(tasks.trial_length, np.int64) * num_trials
    fixed = loaded.agent, collection.env, num_trials
    parts, batches = [], make_batches(num_steps, batch_size)
    for episodes in batches:
        batch = jax.tree.map(lambda leaf, episodes=episodes: leaf[episodes], tasks)
        steps = jnp.int32(num_steps[episodes].max())
        parts.append(jax.device_get(watch(*fixed, loaded.params, batch, jnp.asarray(episodes), steps, key)))
    return in_order(batches, parts)


def _probe(watched: Watched, tasks: Task) -> dict[str, Any]:
    """By trial from the second on, how often what made the goal in the first is read from what the heads read."""
    maker, whole, blank = (np.asarray(leaf) for leaf in (watched.maker, watched.features, watched.blank))
    is_known = maker > 0
    number = int(is_known.sum())
    made = np.asarray(tasks.rules.products).reshape(len(is_known), -1)
    candidates = np.concatenate([np.asarray(tasks.object_kind), made], axis=1)[is_known].astype(np.int64)
    if number < FEWEST:
        return {"num_episodes": number}
    labels = maker[is_known]

    def found(features: np.ndarray) -> dict[str, list[float]]:
        of_trials = [probe(features[is_known, trial], labels, candidates) for trial in range(1, features.shape[1])]
        return as_json(estimate(np.stack(of_trials, axis=-1)[None].astype(np.float64)))

    return {
        "num_episodes": number,
        "chance": chance(candidates),
        "memory": found(whole),
        "no_memory": found(blank),
    }


def _attention(watched: Watched) -> list[list[dict[str, Any]]] | None:
    """For each layer and head the shares of attention in `PLACES`, mean over all steps after the first trial."""
    if watched.attention is None or watched.before is None or watched.step_before is None:
        return None
    total = max(int(watched.num_steps.sum()), 1)
    sums = (np.asarray(leaf, np.float64).sum(0) for leaf in (watched.attention, watched.before, watched.step_before))
    return [
        [_shares(*of_head) for of_head in zip(*of_layer, strict=True)]
        for of_layer in zip(*(of_all / total for of_all in sums), strict=True)
    ]


def _shares(by_distance: np.ndarray, before: np.ndarray, step_before: np.ndarray) -> dict[str, Any]:
    """Of a head, given [D] shares by steps back, and those of earlier trials and of the step before in this trial."""
    itself, somewhere = by_distance[0], by_distance.sum()
    this_trial = somewhere - before - itself - step_before
    shares = (itself, step_before, this_trial, before, 1 - somewhere)
    at = {place: max(float(share), 0.0) for place, share in zip(PLACES, shares, strict=True)}  # but for rounding
    return {**at, "by_steps_back": by_distance.round(6).tolist()}
