"""Scores of people and of players on the same tasks with the same numbers of trials."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from xworld.agents import Expert
from xworld.agents.players import find_player
from xworld.apps.study.results import People
from xworld.base.digest import digest
from xworld.base.errors import ConfigError
from xworld.core.config import EnvConfig
from xworld.core.env import Env
from xworld.core.types import Task
from xworld.evaluation import SweepConfig, TaskCollection, expert_reference, run_sweep
from xworld.evaluation.scores.statistics import crossed_interval, interval
from xworld.tasks import TaskSet

PEOPLE = "people"
PLAYERS = ("random", "noop", "expert")  # that people are always compared with
# Of [..., num_tasks] scores, NaN where there is none.
STATISTICS = {
    "median": lambda scores: np.nanmedian(scores, axis=-1),
    "mean": lambda scores: np.nanmean(scores, axis=-1),
}


@dataclass(frozen=True)
class Scores:
    """Everybody's scores, by number of trials; N tasks in the order of `People.tasks`."""

    best: np.ndarray  # [N] float32 returns that score 1, 0 where none is known
    people: dict[int, np.ndarray]  # by number of trials k: [num_participants, N, k], NaN where not played
    players: dict[str, dict[int, np.ndarray]]  # by name and number of trials k: [N, k], NaN where not played
    notes: tuple[str, ...]  # about players who cannot play all tasks


def find_scores(people: People, agents: Sequence[str], config: SweepConfig, folder: Path, best_returns: Path) -> Scores:
    """The scores of people, of the usual players, and of agents.

    A score is a trial's return divided by the expert's best known return of the task, mean over ways of facing. Players
    have their mean over `config.num_repetitions` episodes.

    Args:
      people: what people did.
      agents: names of other players, as `find_player` takes them.
      config: how players play; its numbers of trials are those of people.
      folder: where what players earn is kept as it comes.
      best_returns: folder where the expert's best returns are kept.

    Raises:
      ConfigError: there is no player of a name, or one can play none of the tasks.
    """
    numbers = list(people.tasks)
    groups: dict[EnvConfig, list[int]] = {}  # places of tasks by their environment
    for place, (env, _) in enumerate(people.tasks.values()):
        groups.setdefault(env.config, []).append(place)
    stacked = {
        group: TaskSet.from_tasks([people.tasks[numbers[place]][1] for place in places]).tasks
        for group, places in groups.items()
    }
    best = np.zeros(len(numbers), np.float32)
    for group, places in groups.items():
        env = Env(group)
        best[places] = expert_reference(stacked[group], Expert(env), best_returns).best
    if not best.any():
        raise ConfigError("The expert finds no plan for any of the tasks, so there are no scores.")
    reference = np.where(best > 0, best, np.nan)

    of_people = {k: np.full((len(people.participants), len(numbers), k), np.nan) for k in config.num_trials}
    for episode in people.episodes:
        row, place = people.participants.index(episode.participant), numbers.index(episode.number)
        of_people[len(episode.returns)][row, place] = np.array(episode.returns) / reference[place]

    players: dict[str, dict[int, np.ndarray]] = {}
    notes = []
    for name in dict.fromkeys((*PLAYERS, *agents)):
        scores = {k: np.full((len(numbers), k), np.nan) for k in config.num_trials}
        reasons = []
        for group, places in groups.items():
            try:
                returns = _play(name, Env(group), stacked[group], config, folder)
            except ConfigError as error:
                reasons.append(f"{name} has no scores on {len(places)} of {len(numbers)} tasks: {error}")
                continue
            for k, of_k in returns.items():
                scores[k][places] = of_k / reference[places, None]
        if len(reasons) == len(groups):
            raise ConfigError(reasons[0])
        notes += reasons
        players[name] = scores
    return Scores(best, of_people, players, tuple(notes))


def summarise(scores: Scores) -> dict[str, dict[str, Any]]:
    """By name and number of trials, the statistics over tasks of the last trial's score with their 95 % intervals.

    Everybody counts on those tasks only that people played with that number of trials. People's intervals are over
    participants and tasks, those of players over tasks.
    """
    summary: dict[str, dict[str, Any]] = {name: {} for name in (PEOPLE, *scores.players)}
    for k, of_people in scores.people.items():
        last = of_people[:, :, -1]
        is_played = ~np.isnan(last).all(axis=0)
        if not is_played.any():
            continue
        last = last[~np.isnan(last).all(axis=1)][:, is_played]
        means = np.nanmean(last, axis=0)
        summary[PEOPLE][str(k)] = {"num_tasks": len(means), "num_participants": len(last)} | {
            name: _describe(float(statistic(means)), crossed_interval(last, statistic))
            for name, statistic in STATISTICS.items()
        }
        for player, of_player in scores.players.items():
            values = of_player[k][is_played, -1]
            values = values[~np.isnan(values)]
            if len(values):
                summary[player][str(k)] = {"num_tasks": len(values)} | {
                    name: _describe(float(statistic(values)), interval(values, statistic))
                    for name, statistic in STATISTICS.items()
                }
    return summary


def curves(scores: Scores) -> dict[str, dict[str, list[float]]]:
    """By name and number of trials, the mean over tasks of every trial's score, on the tasks that people played."""
    found: dict[str, dict[str, list[float]]] = {name: {} for name in (PEOPLE, *scores.players)}
    for k, of_people in scores.people.items():
        is_played = ~np.isnan(of_people[:, :, -1]).all(axis=0)
        if is_played.any():
            everybody = {PEOPLE: np.nanmean(of_people[:, is_played], axis=0)}
            everybody |= {name: of_player[k][is_played] for name, of_player in scores.players.items()}
            for name, values in everybody.items():
                if not np.isnan(values).all():
                    found[name][str(k)] = np.nanmean(values, axis=0).tolist()
    return found


def _describe(value: float, bounds: tuple[float, float]) -> dict[str, float]:
    return {"value": value, "low": bounds[0], "high": bounds[1]}


def _play(name: str, env: Env, tasks: Task, config: SweepConfig, folder: Path) -> Mapping[int, np.ndarray]:
    """By number of trials k: [num_tasks, k] mean returns of a player."""
    player = find_player(name, env, jax.device_get(tasks))
    collection = TaskCollection("study", env, tasks)
    about = {
        "player": player.about,
        "tasks": collection.content_hash,
        "env": dataclasses.asdict(env.config),
        "num_trials": max(config.num_trials),
    }
    kept = folder / "played" / f"{player.name}-{digest(np.frombuffer(repr((about, config)).encode(), np.uint8))[:12]}"
    sweep = run_sweep(env, tasks, player.policy, config, kept, about)
    return {k: returns.mean(axis=1, dtype=np.float64) for k, returns in sweep.returns.items()}
