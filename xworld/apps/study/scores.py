"""Scores of people and of players on the same tasks with the same numbers of trials."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np

from xworld.agents import Expert
from xworld.agents.players import EXPERT, NOOP, RANDOM, SHIPPED, Player, agent_folder, player_by_name
from xworld.apps.study.results import People
from xworld.base.digest import digest
from xworld.base.errors import ConfigError
from xworld.core.config import EnvConfig
from xworld.core.env import Env
from xworld.core.types import Task
from xworld.evaluation import Reference, Scores, SweepConfig, expert_reference, run_sweep
from xworld.evaluation.reference import BY_EXPERT
from xworld.evaluation.scores.scores import people_with
from xworld.evaluation.scores.sweep import mean_returns
from xworld.tasks import TaskCollection, TaskSet

PLAYERS = (RANDOM, NOOP, EXPERT)  # that people are always compared with


def find_scores(
    people: People,
    agents: Sequence[str],
    config: SweepConfig,
    folder: Path,
    best_returns: Path,
    network: str | None = None,
) -> tuple[Scores, list[str]]:
    """The scores of people, of the usual players, and of agents; and notes about players who cannot play all tasks.

    A score is a trial's return divided by the expert's best known return of the task, mean over ways of facing. Players
    have their mean over `config.num_repetitions` episodes, on those tasks only that people played with as many trials.
    People with several partners are each a row of their own, on the tasks that all of them played so.

    Args:
      people: what people did.
      agents: names of other players, as `player_by_name` takes them.
      config: how players play; its numbers of trials are those of people.
      folder: where what players earn is kept as it comes.
      best_returns: folder where the expert's best returns are kept.
      network: `module:function`, which makes the network of one's own of those agents that were saved.

    Raises:
      ConfigError: there is no player of a name, or one can play none of the tasks; or people with different partners
        have no task in common.
    """
    numbers = list(people.tasks)
    groups: dict[EnvConfig, list[int]] = {}  # places of tasks by their environment
    for place, (env, _) in enumerate(people.tasks.values()):
        groups.setdefault(env.config, []).append(place)
    stacked = {
        group: TaskSet.from_tasks([people.tasks[numbers[place]][1] for place in places]).tasks
        for group, places in groups.items()
    }
    # Agents first, who may be refused at once; the expert plans.
    found = {name: _find_player(name, stacked, network) for name in dict.fromkeys((*agents, *PLAYERS))}
    returns, is_played = _of_people(people, config.num_trials)
    best = np.zeros(len(numbers), np.float32)
    for group, places in groups.items():
        best[places] = expert_reference(stacked[group], Expert(Env(group)), best_returns).best

    notes: list[str] = []
    for name in dict.fromkeys((*PLAYERS, *agents)):
        of_player = {k: np.full((1, len(numbers), k), np.nan) for k in config.num_trials}
        players, reasons = found[name]
        for group, player in players.items():
            for k, of_k in _play(player, Env(group), stacked[group], config, folder).items():
                of_player[k][:, groups[group]] = mean_returns(of_k)
        notes += reasons
        returns[name] = {k: np.where(is_it[:, None], of_player[k], np.nan) for k, is_it in is_played.items()}
    return Scores(returns, Reference(BY_EXPERT, best)), notes


def _find_player(
    name: str, stacked: Mapping[EnvConfig, Task], network: str | None
) -> tuple[dict[EnvConfig, Player], list[str]]:
    """The player for the tasks of each environment that it can play, and why it cannot play the others.

    Raises:
      ConfigError: it can play none of them.
    """
    is_own = name not in SHIPPED and agent_folder(name) is not None
    players: dict[EnvConfig, Player] = {}
    reasons = []
    num_tasks = sum(len(tasks.trial_length) for tasks in stacked.values())
    for group, tasks in stacked.items():
        try:
            players[group] = player_by_name(
                name, Env(group), jax.device_get(tasks), network=network if is_own else None
            )
        except ConfigError as error:
            reasons.append(f"{name} has no scores on {len(tasks.trial_length)} of {num_tasks} tasks: {error}")
    if not players:
        raise ConfigError(reasons[0])
    return players, reasons


def _of_people(
    people: People, num_trials: Sequence[int]
) -> tuple[dict[str, dict[int, np.ndarray]], dict[int, np.ndarray]]:
    """What people earned, [people, tasks, k] by partner and number of trials k; and by k, [tasks] which all played."""
    numbers = list(people.tasks)
    rows: dict[str | None, list[str]] = {}  # the participants of each partner
    for episode in people.episodes:
        of_partner = rows.setdefault(episode.partner, [])
        if episode.participant not in of_partner:
            of_partner.append(episode.participant)
    returns = {
        partner: {k: np.full((len(of_partner), len(numbers), k), np.nan) for k in num_trials}
        for partner, of_partner in rows.items()
    }
    for episode in people.episodes:
        row, place = rows[episode.partner].index(episode.participant), numbers.index(episode.number)
        returns[episode.partner][len(episode.returns)][row, place] = episode.returns
    is_played = {
        k: np.all([~np.isnan(of_partner[k]).all(axis=(0, 2)) for of_partner in returns.values()], axis=0)
        for k in num_trials
    }
    common = {k: found for k, found in is_played.items() if found.any()}
    if not common:
        raise ConfigError(
            "People with different partners have finished no task with the same number of trials: let more take part."
        )
    of_common = {
        people_with(partner): {k: np.where(found[:, None], of_partner[k], np.nan) for k, found in common.items()}
        for partner, of_partner in returns.items()
    }
    return of_common, common


def _play(player: Player, env: Env, tasks: Task, config: SweepConfig, folder: Path) -> Mapping[int, np.ndarray]:
    """By number of trials k: [num_tasks, num_repetitions, k] returns of a player."""
    collection = TaskCollection("study", env, tasks)
    about = {
        "player": player.about,
        "tasks": collection.content_hash,
        "env": dataclasses.asdict(env.config),
        "num_trials": max(config.num_trials),
    }
    kept = folder / "played" / f"{player.name}-{digest(np.frombuffer(repr((about, config)).encode(), np.uint8))[:12]}"
    return run_sweep(env, tasks, player.policy, config, kept, about)
