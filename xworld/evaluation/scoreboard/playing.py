"""Playing entries of the scoreboard: their scores, and whether the agents that were kept still have them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from xworld.agents import Expert
from xworld.agents.players import agent_folder, player_by_name
from xworld.base.errors import ConfigError
from xworld.evaluation.reference import Reference, expert_reference
from xworld.evaluation.scoreboard.entry import MAIN_NUM_TRIALS, NUM_TRIALS, TASK_SET, Entry
from xworld.evaluation.scores.scores import Scores
from xworld.evaluation.scores.statistics import Estimate, estimate
from xworld.evaluation.scores.sweep import SweepConfig, mean_returns, run_sweep
from xworld.tasks import TaskCollection, tasks_by_name

BEST_RETURNS = "best-returns"  # folder among the entries, with the expert's best returns of the test set
_NUM_REPETITIONS = 10  # episodes of each task for each number of trials, of an entry


def benchmark_tasks(num_tasks: int | None = None) -> TaskCollection:
    """The tasks of the benchmark, or the first so many.

    Raises:
      ConfigError: there are not so many.
    """
    return tasks_by_name(TASK_SET).collect(num_tasks)


def play(
    players: Sequence[str],
    collection: TaskCollection,
    config: SweepConfig,
    entries: Path,
    runs: Path | None = None,
    network: str | None = None,
    *,
    show_progress: bool = True,
) -> dict[int, np.ndarray]:
    """By number of trials, [num_players, num_tasks] scores of the last trial; NaN of tasks without a reference.

    Args:
      players: names of scripted players, or folders of agents.
      collection: the tasks.
      config: what is played.
      entries: folder of the entries, with the expert's best returns.
      runs: folder where returns are kept as they come, so that what was stopped goes on.
      network: `module:function`, which makes the network of one's own that the agents have.
      show_progress: whether to draw a progress bar.

    Raises:
      ConfigError: there is no such player, an agent of another environment, or `runs` holds another evaluation.
    """
    reference = benchmark_reference(collection, entries, show_progress=show_progress)
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


def check_entry(
    entry: Entry, entries: Path, network: str | None = None, *, show_progress: bool = True
) -> tuple[float, Estimate]:
    """Plays an entry's agents again: the mean score with `MAIN_NUM_TRIALS`, and that of the table with its interval.

    Raises:
      ConfigError: the agents are not there, or the entry is of other tasks than this version has.
    """
    collection = benchmark_tasks(entry.num_tasks)
    if collection.content_hash != entry.content_hash:
        raise ConfigError(
            f"The entry {entry.name!r} is of other tasks than the {TASK_SET} of this version. Make the entry again."
        )
    config = SweepConfig((MAIN_NUM_TRIALS,), entry.num_repetitions, entry.seed)
    players = [locate(player, entries) for player in entry.players]
    values = play(players, collection, config, entries, network=network, show_progress=show_progress)[MAIN_NUM_TRIALS]
    return float(np.nanmean(values)), estimate(entry.scored(MAIN_NUM_TRIALS))


def locate(player: str, entries: Path) -> str:
    """The player's name, or the folder of a kept agent as seen from here."""
    return player if agent_folder(player) is None else str(entries / player)


def sweep_config(num_repetitions: int | None = None, seed: int = 0) -> SweepConfig:
    """What is played for an entry; by default as many episodes of a task as the benchmark asks for.

    Raises:
      ConfigError: a value out of range.
    """
    return SweepConfig(NUM_TRIALS, _NUM_REPETITIONS if num_repetitions is None else num_repetitions, seed)
