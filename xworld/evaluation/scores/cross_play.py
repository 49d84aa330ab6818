"""Cross-play: everybody with everybody. Agents that understand only copies of themselves are found out by it."""

import dataclasses
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from rich import box
from rich.table import Table

from xworld.agents.policy import PairedPolicy, Policy
from xworld.base.errors import ConfigError
from xworld.base.files import as_file_name
from xworld.core.env import Env
from xworld.core.types import Task
from xworld.evaluation.protocol import evaluate, with_num_trials
from xworld.evaluation.scores.statistics import NUM_RESAMPLES, Estimate, interval, jackknife, t_quantile
from xworld.evaluation.scores.store import ReturnsStore

SCORE, RETURN = "score", "return"
_MOST_LETTERS = 80  # of two names in that of a file: file systems allow 255 bytes, and a letter may have three


@dataclass(frozen=True)
class CrossPlay:
    """What each two players earn together."""

    names: tuple[str, ...]
    returns: np.ndarray  # [N, N, num_tasks] float64, of the last trial: player i in seat 0, player j in all others
    measure: str = RETURN  # what `returns` are: returns, or scores

    @property
    def matrix(self) -> np.ndarray:
        """[N, N] float64 mean returns over tasks and both ways to sit; symmetric."""
        one_way = self.returns.mean(-1)
        return cast(np.ndarray, (one_way + one_way.T) / 2)

    @property
    def ratio(self) -> float:
        """The mean return of players with others, divided by that with themselves; NaN where the latter is 0.

        1 where it does not matter who the partner is, 0 where nobody but a copy will do.
        """
        return float(_ratio(*self._by_task()))

    @property
    def ratio_interval(self) -> tuple[float, float]:
        """The 95 % interval of the ratio over tasks, for these players. It says nothing of other training seeds."""
        apart, alike = self._by_task()
        return interval(np.arange(len(apart)), lambda drawn: _ratio(apart[drawn], alike[drawn]))

    def ratio_minus(self, other: "CrossPlay") -> Estimate:
        """The ratio minus that of other players on the same tasks, with its 95 % interval over tasks and players.

        Players are taken as seeds of a kind. As in `contrast` each source of chance takes its own t:

        half width^2 = sum over both of t(num_players - 1)^2 A + t(num_tasks - 1)^2 B

        with A from the jackknife over players, 0 where there are two, and B from the bootstrap over tasks, drawn for
        both alike. NaN where a ratio is.

        Raises:
          ConfigError: other tasks.
        """
        num_tasks = self.returns.shape[-1]
        if other.returns.shape[-1] != num_tasks:
            raise ConfigError(
                f"Ratios over {num_tasks} and over {other.returns.shape[-1]} tasks have no difference. Play the same."
            )
        drawn = np.random.default_rng(0).integers(0, num_tasks, (NUM_RESAMPLES, num_tasks))
        ours, theirs = (_ratio(*(values[drawn] for values in one._by_task())) for one in (self, other))
        square = t_quantile(num_tasks - 1) ** 2 * float((ours - theirs).var()) if num_tasks > 1 else 0.0
        for one in (self, other):
            if len(one.names) > 2:
                square += jackknife(np.array([one._without(place).ratio for place in range(len(one.names))]))
        value, half = self.ratio - other.ratio, np.sqrt(square)
        return Estimate(np.array(value), np.array(value - half), np.array(value + half))

    def _without(self, place: int) -> "CrossPlay":
        """The same without one of the players."""
        left = np.delete(np.arange(len(self.names)), place)
        names = tuple(self.names[i] for i in left)
        return dataclasses.replace(self, names=names, returns=self.returns[np.ix_(left, left)])

    def to_scores(self, best: np.ndarray) -> "CrossPlay":
        """Returns divided by [num_tasks] best ones, without the tasks in which the best is 0.

        Raises:
          ConfigError: other tasks, or none with a return above 0.
        """
        if best.shape != self.returns.shape[2:]:
            raise ConfigError(
                f"There are {self.returns.shape[-1]} tasks, and {len(best)} best returns. Give one of each."
            )
        if not (best > 0).any():
            raise ConfigError(f"No return above 0 is known for any of the {len(best)} tasks: there are no scores.")
        scores = self.returns[..., best > 0] / best[best > 0]
        return dataclasses.replace(self, returns=scores, measure=SCORE)

    def describe(self) -> dict[str, Any]:
        """All of it but what single tasks paid, as JSON types."""
        (low, high), (apart, alike) = self.ratio_interval, self._by_task()
        return {
            "players": list(self.names),
            "measure": self.measure,
            "num_tasks": self.returns.shape[-1],
            "matrix": self.matrix.tolist(),
            "by_seat": self.returns.mean(-1).tolist(),
            "with_others": float(apart.mean()),
            "with_themselves": float(alike.mean()),
            "ratio": {
                name: None if np.isnan(value) else value
                for name, value in (("value", self.ratio), ("low", low), ("high", high))
            },
        }

    def _by_task(self) -> tuple[np.ndarray, np.ndarray]:
        """[num_tasks] mean returns of players with others, and with themselves."""
        is_self = np.eye(len(self.names), dtype=bool)
        return self.returns[~is_self].mean(0), self.returns[is_self].mean(0)


def _ratio(apart: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """[...] means over [..., num_tasks], divided; NaN where nothing is earned alike."""
    below = alike.mean(-1)
    return cast(np.ndarray, apart.mean(-1) / np.where(below > 0, below, np.nan))


def cross_play(
    env: Env,
    tasks: Task,
    players: Mapping[str, Policy],
    key: jax.Array,
    *,
    num_trials: int | None = None,
    num_repetitions: int = 1,
    batch_size: int = 256,
    store: ReturnsStore | None = None,
) -> CrossPlay:
    """Plays every task with each two of the players, both ways to sit, all with the same chance of the environment.

    Args:
      env: the environment the tasks are for.
      tasks: stacked tasks for two agents or more, leaves [num_tasks, ...]. Of more, one player has seat 0 and the
        other all other seats.
      players: at least two, by name; one of them is also played with itself.
      key: decides directions and chance.
      num_trials: play this many trials of every task instead of the task's own number.
      num_repetitions: episodes of each task for each way to sit.
      batch_size: how many tasks are played at a time.
      store: where what two players earn is kept as soon as they have played, under their names; what it has is not
        played again, whoever the other players are.

    Raises:
      ConfigError: fewer than two players, a task for one agent, tasks of another environment, or a damaged store.
    """
    if len(players) < 2:
        raise ConfigError(f"Cross-play needs at least two players, not {len(players)}. Add one.")
    number = np.asarray(tasks.is_present).sum(-1)
    if (number < 2).any():
        raise ConfigError(
            f"{int((number < 2).sum())} of {len(number)} tasks are for one agent. Choose those for two, as in "
            "tasks_for_two(tasks)."
        )
    tasks = with_num_trials(tasks, num_trials)
    last = np.asarray(tasks.num_trials, np.int64) - 1

    def play(player: str, partner: str) -> np.ndarray:
        """[num_repetitions, num_tasks] float32 returns of the last trial."""
        name, shape = _name_of_pair(player, partner), (num_repetitions, len(last))
        found = None if store is None else store.read(name, shape)
        if found is None:
            policy = PairedPolicy(players[player], players[partner], jnp.int32(0))
            keys = jax.random.split(key, num_repetitions)
            played = [evaluate(env, tasks, policy, one, batch_size=batch_size).returns for one in keys]
            found = np.stack([returns[np.arange(len(last)), last] for returns in played])
            if store is not None:
                store.write(name, found)
        return found

    returns = [[play(one, other).mean(axis=0, dtype=np.float64) for other in players] for one in players]
    return CrossPlay(tuple(players), np.array(returns))


def _name_of_pair(player: str, partner: str) -> str:
    """What the file with their returns is called; a check sum tells apart names that are alike in their letters."""
    pair = f"{player} with {partner}"
    return f"{as_file_name(pair)[:_MOST_LETTERS]}-{zlib.crc32(pair.encode(errors='surrogateescape')):08x}"


def tasks_for_two(tasks: Task) -> Task:
    """Those of stacked tasks in which two agents are there, or more, in the host's memory.

    Raises:
      ConfigError: there is none.
    """
    tasks = jax.tree.map(np.asarray, tasks)
    is_for_two = np.asarray(tasks.is_present).sum(-1) >= 2
    if not is_for_two.any():
        raise ConfigError("None of the tasks is for two agents. Choose others, such as those of ada-two-player.")
    return jax.tree.map(lambda leaf: leaf[is_for_two], tasks)


def cross_play_table(found: CrossPlay) -> Table:
    """A row and a column for each player: mean returns or scores of the last trial, both ways to sit."""
    measure = found.measure.capitalize()
    title = f"{measure} of the last trial, mean over {found.returns.shape[-1]} tasks and both ways to sit"
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("with")
    for name in found.names:
        table.add_column(name, justify="right", overflow="fold")
    for name, row in zip(found.names, found.matrix, strict=True):
        table.add_row(name, *(f"{value:.2f}" for value in row))
    low, high = found.ratio_interval
    table.caption = f"with others / with themselves: {found.ratio:.2f} ({low:.2f} to {high:.2f} over tasks)"
    return table
