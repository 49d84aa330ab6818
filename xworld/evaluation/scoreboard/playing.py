"""Playing entries of the scoreboard: their scores, and whether the agents that were kept still have them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xworld.agents import Expert
from xworld.agents.players import agent_folder, player_by_name
from xworld.base.digest import digest
from xworld.base.errors import ConfigError
from xworld.evaluation.reference import Reference, expert_reference
from xworld.evaluation.scoreboard.entry import MAIN_NUM_TRIALS, NUM_TRIALS, TASK_SET, Entry
from xworld.evaluation.scores.scores import Scores
from xworld.evaluation.scores.statistics import Estimate, estimate
from xworld.evaluation.scores.sweep import SweepConfig, mean_returns, run_sweep
from xworld.tasks import TaskCollection, tasks_by_name

BEST_RETURNS = "best-returns"  # folder among the entries, with the expert's best returns of the test set
_NUM_REPETITIONS = 10  # episodes of each task for each number of trials, of an entry
# Of the mean difference between a player's scores of the same episodes, now and in its entry: what rounding leaves, and
# the most that is put down to chance where some episodes went another way. On another machine sums are rounded
# otherwise, now and then another action comes of it, and from there on the episode is drawn anew; that changes scores
# task by task, but not their mean in one direction.
NOTHING, MOST_BY_CHANCE = 0.002, 0.01


@dataclass(frozen=True)
class Check:
    """An entry's players, played again; of each [num_players]."""

    listed: np.ndarray  # mean scores in the entry
    difference: Estimate  # scores now minus those in the entry, task by task; intervals over tasks
    is_same: np.ndarray  # bool: rounding and chance explain the difference


def benchmark_tasks(num_tasks: int | None = None) -> TaskCollection:
    """The tasks of the benchmark, or the first so many.

    Raises:
      ConfigError: there are not so many.
    """
    return tasks_by_name(TASK_SET).collect(num_tasks)


def play(
    players: Sequence[str],
    collection: TaskCollection,
    reference: Reference,
    config: SweepConfig,
    runs: Path | None = None,
    network: str | None = None,
    *,
    show_progress: bool = True,
) -> dict[int, np.ndarray]:
    """By number of trials, [num_players, num_tasks] scores of the last trial; NaN of tasks without a reference.

    Args:
      players: names of scripted players, or folders of agents.
      collection: the tasks.
      reference: the best returns of these tasks, from `benchmark_reference`.
      config: what is played.
      runs: folder where returns are kept as they come, so that what was stopped goes on.
      network: `module:function`, which makes the network of one's own that the agents have.
      show_progress: whether to draw a progress bar.

    Raises:
      ConfigError: there is no such player, an agent of another environment, or `runs` holds another evaluation.
    """
    returns: dict[int, list[np.ndarray]] = {k: [] for k in config.num_trials}
    for number, name in enumerate(players):
        player = player_by_name(name, collection.env, collection.tasks, network=network, show_progress=show_progress)
        about = {"player": player.about, "content_hash": collection.content_hash}
        folder = None if runs is None else runs / str(number)
        played = run_sweep(
            collection.env, collection.tasks, player.policy, config, folder, about, show_progress=show_progress
        )
        for k, values in played.items():
            returns[k].append(mean_returns(values))
    scores = Scores({"": {k: np.concatenate(rows) for k, rows in returns.items()}}, reference)
    return {k: scores.score("", k)[..., -1] for k in config.num_trials}


def benchmark_reference(collection: TaskCollection, entries: Path, *, show_progress: bool = True) -> Reference:
    """The expert's best returns of the tasks, kept beside the entries.

    Raises:
      ConfigError: they cannot be read or written.
    """
    return expert_reference(
        collection.tasks, Expert(collection.env), entries / BEST_RETURNS, show_progress=show_progress
    )


def digest_of(reference: Reference) -> str:
    """What an entry says of the best returns that its scores are shares of."""
    return digest(reference.best)[:16]


def check_entry(entry: Entry, entries: Path, network: str | None = None, *, show_progress: bool = True) -> Check:
    """Plays an entry's players again, with `MAIN_NUM_TRIALS`.

    Raises:
      ConfigError: the agents are not there, or the entry is of other tasks than this version has, or of other best
        returns than those beside the entries.
    """
    collection = benchmark_tasks(entry.num_tasks)
    if collection.content_hash != entry.content_hash:
        raise ConfigError(
            f"The entry {entry.name!r} is of other tasks than the {TASK_SET} of this version. Make the entry again."
        )
    reference = benchmark_reference(collection, entries, show_progress=show_progress)
    if digest_of(reference) != entry.best_returns_digest:
        raise ConfigError(
            f"The scores of the entry {entry.name!r} are shares of other best returns than those in "
            f"{entries / BEST_RETURNS}. Bring these back, or make the entry again."
        )
    config = SweepConfig((MAIN_NUM_TRIALS,), entry.num_repetitions, entry.seed)
    players = [locate(player, entries) for player in entry.players]
    found = play(players, collection, reference, config, network=network, show_progress=show_progress)
    return compare_again(entry, found[MAIN_NUM_TRIALS])


def compare_again(entry: Entry, scores: np.ndarray) -> Check:
    """What came out when an entry's players played the very same episodes again.

    Args:
      entry: with the scores that they had.
      scores: [num_players, num_tasks] that they have now, with `MAIN_NUM_TRIALS`.
    """
    listed = entry.scores[MAIN_NUM_TRIALS]
    minus = estimate((scores - listed).T[None])  # one row of tasks, so that the intervals are over tasks
    is_nothing = np.abs(minus.mean) < NOTHING
    is_chance = (np.abs(minus.mean) <= MOST_BY_CHANCE) & (minus.low <= 0) & (minus.high >= 0)
    return Check(np.nanmean(listed, axis=1), minus, is_nothing | is_chance)


def locate(player: str, entries: Path) -> str:
    """The player's name, or the folder of a kept agent as seen from here."""
    return player if agent_folder(player) is None else str(entries / player)


def sweep_config(num_repetitions: int | None = None, seed: int = 0) -> SweepConfig:
    """What is played for an entry; by default as many episodes of a task as the benchmark asks for.

    Raises:
      ConfigError: a value out of range.
    """
    return SweepConfig(NUM_TRIALS, _NUM_REPETITIONS if num_repetitions is None else num_repetitions, seed)
