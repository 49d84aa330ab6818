"""The command `xworld cross-play`. As in `apps/commands/main.py`, heavy imports happen inside."""

import dataclasses
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from xworld.apps.commands.evaluate import BEST_RETURNS_FOLDER
from xworld.base.checks import check_seed, check_whole
from xworld.base.errors import INTERRUPTED, ConfigError
from xworld.base.files import as_file_name, as_path

if TYPE_CHECKING:
    from xworld.agents import Player
    from xworld.evaluation import CrossPlay
    from xworld.evaluation.scores.store import ReturnsStore
    from xworld.tasks import TaskCollection

_LONGEST_BYTES = 150  # of the players in a folder's name: file systems allow 255 for all of it


@dataclass
class CrossPlaying:
    """Let each of several players play tasks for two with each other, both ways to sit, and with itself.

    A matrix of the last trial's mean scores (1 is the expert's best return in all seats), and what players earn with
    others as a share of what they earn with themselves. Returns are kept pair by pair: after Ctrl-C the same command
    goes on. Leaves cross-play.json and cross-play.png.
    """

    # at least two, as for evaluate --agent: folders of runs or saved agents, random, noop, expert, module:function ...
    players: Annotated[Positional[tuple[str, ...]], arg(metavar="PLAYER PLAYER ...")]
    # tasks by name, as for evaluate; those for one agent are left out. By default held-out tasks of the first player's
    # run
    task_set: str | None = None
    num_tasks: int | None = None  # the first so many, with those for one; by default all, of a universe 512
    num_trials: int | None = None  # of each task; by default the most that the tasks have
    repetitions: int = 1  # episodes of each task for each way to sit
    which: Literal["last", "best"] | None = None  # of runs: their newest checkpoints (default), or their best so far
    seed: int = 0  # decides directions and chance, and which tasks are sampled
    batch_size: int = 256  # episodes played at a time
    output: Path | None = None  # folder for what is written; by default one for players and tasks, in runs
    best_returns: Path = BEST_RETURNS_FOLDER  # folder where the expert's best returns are kept

    def run(self) -> int:
        """Plays and reports."""
        from xworld.base.xla.devices import num_cores, use_devices

        check_seed(self.seed)
        check_whole("--repetitions", self.repetitions, 1)
        check_whole("--batch-size", self.batch_size, 1)
        if self.num_trials is not None:
            check_whole("--num-trials", self.num_trials, 1)
        use_devices(num_cores())
        self._check_players()
        import rich

        from xworld.agents import Expert
        from xworld.evaluation import cross_play_table, expert_reference
        from xworld.evaluation.scores.store import ReturnsStore, check_returns

        collection = self._tasks()
        settings = {
            "players": list(self.players),
            "task_set": {"name": collection.name, "content_hash": collection.content_hash},
            "env": dataclasses.asdict(collection.env.config),
            "num_trials": self.num_trials or int(collection.tasks.num_trials.max()),
            "num_repetitions": self.repetitions,
            "seed": self.seed,
        }
        output = as_path(self.output or Path("runs") / self._folder_name(collection))
        check_returns(output, settings)
        players = {name: self._player(name, collection) for name in self.players}
        about = {**settings, "about": {name: player.about for name, player in players.items()}}
        store = ReturnsStore(output, about)
        try:
            reference = expert_reference(collection.tasks, Expert(collection.env), self.best_returns)  # kept, so first
            found = self._play(players, collection, store).to_scores(reference.best)
        except KeyboardInterrupt:
            print(f"Stopped. What was played is kept in {output}; the same command goes on.")
            return INTERRUPTED
        self._write(output, found, {**about, "reference": reference.kind})
        rich.print(cross_play_table(found))
        print(f"Wrote cross-play.json and cross-play.png to {output}")
        return 0

    def _check_players(self) -> None:
        from xworld.agents.players import agent_folder

        if len(self.players) < 2:
            raise ConfigError(f"Cross-play needs at least two players, not {len(self.players)}. Add one.")
        twice = [name for name, number in Counter(self.players).items() if number > 1]
        if twice:
            raise ConfigError(f"{twice[0]} is there twice; each player also plays with itself. Write each once.")
        if self.which is not None and all(agent_folder(name) is None for name in self.players):
            raise ConfigError("--which is for trained agents, and none of the players is one. Leave it out.")

    def _tasks(self) -> "TaskCollection":
        """The tasks for two or more."""
        import numpy as np

        from xworld.agents.players import agent_folder
        from xworld.evaluation import tasks_for_two
        from xworld.tasks import tasks_by_name
        from xworld.tasks.sets.by_name import TaskCollection

        name = self.task_set
        if name is None:
            folder = agent_folder(self.players[0])
            if folder is None or not (folder / "config.json").exists():
                raise ConfigError(
                    f"{self.players[0]} is no run with tasks of its own. Name a set of tasks: --task-set."
                )
            name = str(folder)
        found = tasks_by_name(name, self.seed).collect(self.num_tasks)
        tasks = tasks_for_two(found.tasks)
        num_left = len(np.asarray(tasks.trial_length))
        about = found.name if num_left == len(found.tasks.trial_length) else f"{found.name}: {num_left} for two"
        return TaskCollection(about, found.env, tasks)

    def _folder_name(self, collection: "TaskCollection") -> str:
        """What the folder of these players on these tasks is called; of many players, their number and a check sum."""
        players = "-and-".join(map(as_file_name, self.players))
        if len(players.encode()) > _LONGEST_BYTES:
            players = f"{len(self.players)}-players-{zlib.crc32(' '.join(self.players).encode()):08x}"
        return f"cross-play-of-{'best-' * (self.which == 'best')}{players}-on-{as_file_name(collection.name)}"

    def _player(self, name: str, collection: "TaskCollection") -> "Player":
        from xworld.agents.players import agent_folder, player_by_name
        from xworld.base.errors import located

        which = None if agent_folder(name) is None else self.which
        with located(name):
            return player_by_name(name, collection.env, collection.tasks, which=which, show_progress=True)

    def _play(self, players: dict[str, "Player"], collection: "TaskCollection", store: "ReturnsStore") -> "CrossPlay":
        """The returns of every pair."""
        import jax

        from xworld.evaluation import cross_play

        return cross_play(
            collection.env,
            collection.tasks,
            {name: player.policy for name, player in players.items()},
            jax.random.key(self.seed),
            num_trials=self.num_trials or int(collection.tasks.num_trials.max()),
            num_repetitions=self.repetitions,
            batch_size=self.batch_size,
            store=store,
        )

    def _write(self, output: Path, found: "CrossPlay", about: dict[str, Any]) -> None:
        """The numbers, and the picture that is drawn from them."""
        import json

        from xworld.base.files import write_atomically
        from xworld.evaluation import draw_cross_play
        from xworld.evaluation.report.look import to_png

        text = json.dumps({**about, "cross_play": found.describe()}, indent=1) + "\n"
        write_atomically(output / "cross-play.json", text.encode())
        picture = draw_cross_play({"Cross-play": json.loads(text)["cross_play"]})
        write_atomically(output / "cross-play.png", to_png(picture))
