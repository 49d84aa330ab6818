"""The command `xworld scoreboard`. As in `main.py`, heavy imports happen inside."""

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

from xworld.base.errors import INTERRUPTED, ConfigError

if TYPE_CHECKING:
    from xworld.agents import LoadedAgent
    from xworld.evaluation.scoreboard.entry import Training

MOST_BYTES = 1_000_000  # of a kept agent
DIFFERS = 1
_PAGE = Path("docs/scoreboard.md")
_AGENTS = "agents"  # folder of kept agents, among the entries


@dataclass
class Scoreboard:
    """Make the scoreboard of the benchmark xworld-s; add an entry to it, or play one again.

    Without options, the page and its figure are made anew from the entries' files. With --add, players are played on
    the test set s1, with 1, 2, 3, 5, 6, 8 and 13 trials; agents are kept beside the entries. With --check, an entry's
    kept agents play the same episodes with 6 trials again; exits with 1 if the scores of one of them are others.
    """

    add: str | None = None  # name of a new entry, or of one to replace
    # with --add: folders of training runs, one for each seed; or one of random, noop, searcher,
    # searcher-without-memory and expert
    agents: Annotated[tuple[str, ...], arg(metavar="NAME|RUN...")] = ()
    about: str | None = None  # with --add: what it is, in one line; by default its name
    hardware: str | None = None  # with --add: what the agents were trained on; by default this machine
    # with --add: a run's newest checkpoint (default), or its best by validation
    which: Literal["last", "best"] | None = None
    check: str | None = None  # name of the entry to play again
    # with --add or --check, for agents with a network of your own: what makes it of an Env
    network: Annotated[str | None, arg(metavar="module:function")] = None
    entries: Path = Path("docs/results/scoreboard")  # folder of the entries
    page: Path | None = None  # where the page goes, by default docs/scoreboard.md
    num_tasks: int | None = None  # with --add: the first so many tasks only, to try it out
    # with --add: episodes of each task for each number of trials; by default the benchmark's
    repetitions: int | None = None
    seed: int | None = None  # with --add: decides directions and chance; 0 by default
    # with --add: folder where returns are kept, so that what was stopped goes on; by default runs/scoreboard
    runs: Path | None = None

    def run(self) -> int:
        """Checks, or adds and makes the page."""
        if self.add is not None and self.check is not None:
            raise ConfigError("--add and --check exclude each other.")
        for name in ("agents", "about", "hardware", "which", "num_tasks", "repetitions", "seed", "runs"):
            if self.add is None and getattr(self, name) not in (None, ()):
                option = name.replace("_", "-")
                raise ConfigError(f"--{option} goes with --add. Name the entry to add, or leave --{option} out.")
        if self.network is not None and self.add is None and self.check is None:
            raise ConfigError("--network goes with --add or --check.")
        if self.page is not None and self.check is not None:
            raise ConfigError("--page goes with --add or alone: --check writes no page. Leave one out.")
        if self.check is not None:
            return self._check(self.check)
        if self.add is not None:
            try:
                self._add(self.add)
            except KeyboardInterrupt:
                print(f"Stopped. What was played is kept in {self._folder(self.add)}; the same command goes on.")
                return INTERRUPTED
        self._make_page()
        return 0

    def _check(self, name: str) -> int:
        from xworld.base.xla.devices import num_cores, use_devices
        from xworld.evaluation.scoreboard.entry import MAIN_NUM_TRIALS, read_entry
        from xworld.evaluation.scoreboard.playing import check_entry

        use_devices(num_cores())
        entry = read_entry(self.entries, name)
        check = check_entry(entry, self.entries, self.network)
        print(f"{name}, {MAIN_NUM_TRIALS} trials: mean now minus mean in the table, paired by task")
        for place, player in enumerate(entry.players):
            mean, low, high = (getattr(check.difference, part)[place] for part in ("mean", "low", "high"))
            verdict = "the same" if check.is_same[place] else "DIFFERENT"
            listed = check.listed[place]
            print(f"{player}: {listed + mean:.4f} - {listed:.4f} = {mean:.4f} ({low:.4f} to {high:.4f}): {verdict}")
        return 0 if check.is_same.all() else DIFFERS

    def _add(self, name: str) -> None:
        from xworld.agents.players import agent_folder
        from xworld.base.files import check_folder
        from xworld.base.xla.devices import num_cores, use_devices
        from xworld.evaluation.scoreboard import playing
        from xworld.evaluation.scoreboard.entry import Entry, check_name, write_entry

        config = playing.sweep_config(self.repetitions, self.seed or 0)
        are_runs = [agent_folder(agent) is not None for agent in self.agents]
        check_name(name)
        if not self.agents or (len(self.agents) > 1 and not all(are_runs)):
            raise ConfigError("--agents takes the folders of one or more training runs, or one scripted player's name.")
        use_devices(num_cores())
        entries = check_folder(self.entries)
        trainings = [_training(Path(run)) for run in self.agents] if all(are_runs) else []
        collection = playing.benchmark_tasks(self.num_tasks)
        kept = self._kept(name, trainings) if trainings else {}
        players = tuple(kept) or self.agents
        located = [str(folder) for folder, _ in kept.values()] or [playing.locate(one, entries) for one in players]
        reference = playing.benchmark_reference(collection, entries)
        entry = Entry(
            name=name,
            about=name if self.about is None else self.about,
            players=players,
            trainings=tuple(trainings),
            hardware=(_this_machine() if self.hardware is None else self.hardware) if trainings else "",
            num_tasks=len(collection.tasks.trial_length),
            content_hash=collection.content_hash,
            best_returns_digest=playing.digest_of(reference),
            num_repetitions=config.num_repetitions,
            seed=config.seed,
            scores=playing.play(located, collection, reference, config, self._folder(name), self.network),
        )
        for player, (_, loaded) in kept.items():  # what a former entry of the name has stays until here
            _save(entries / player, loaded)
        former = _agents_of_former(entries, name)
        write_entry(entries, entry)
        for player in former - {*players}:
            shutil.rmtree(entries / player, ignore_errors=True)
        print(f"Wrote {entries / name}.json")

    def _kept(self, name: str, trainings: "list[Training]") -> "dict[str, tuple[Path, LoadedAgent]]":
        """The runs' agents, copied beside what they earn; by the folder that they get, relative to the entries'."""
        from xworld.agents.players import load_agent

        players: dict[str, tuple[Path, LoadedAgent]] = {}
        for run, training in zip(self.agents, trainings, strict=True):
            player = f"{_AGENTS}/{name}-{training.seed}"
            if player in players:
                raise ConfigError(f"Two of the runs have the seed {training.seed}. Name runs of different seeds.")
            loaded = load_agent(Path(run), self.which or "last", self.network)
            folder = self._folder(name) / _AGENTS / str(training.seed)
            _save(folder, loaded)
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            if size > MOST_BYTES:
                shutil.rmtree(folder)
                raise ConfigError(
                    f"The agent of {run} has {size / 1e6:.2f} MB; an entry's may have {MOST_BYTES / 1e6:g} MB each. "
                    "Train a smaller one."
                )
            players[player] = folder, loaded
        return players

    def _folder(self, name: str) -> Path:
        """Where the returns of an entry are kept."""
        return (self.runs or Path("runs/scoreboard")) / name

    def _make_page(self) -> None:
        from xworld.base.files import check_folder, write_atomically
        from xworld.evaluation.report.look import to_png
        from xworld.evaluation.scoreboard.entry import read_entries
        from xworld.evaluation.scoreboard.page import draw, make_page

        path = _PAGE if self.page is None else self.page
        entries, folder = read_entries(self.entries), check_folder(path.parent)
        figure = self.entries / "scores.png"
        link = Path(os.path.relpath(figure, folder)).as_posix()
        content = make_page(entries, self.entries.as_posix(), link)
        write_atomically(figure, to_png(draw(entries)))
        write_atomically(path, content.encode())
        print(f"Wrote {path} and {figure} of {len(entries)} entries")


def _agents_of_former(entries: Path, name: str) -> set[str]:
    """The kept agents that the entry of this name has now, as folders relative to the entries'.

    None of an entry that cannot be read: it is made again.
    """
    from xworld.evaluation.scoreboard.entry import read_entry

    try:
        players = read_entry(entries, name).players
    except ConfigError:
        return set()
    return {player for player in players if Path(player).parent == Path(_AGENTS)}


def _save(folder: Path, loaded: "LoadedAgent") -> None:
    from xworld.agents import save

    save(folder, loaded.agent, loaded.params, loaded.return_scale, loaded.env_config)


def _training(run: Path) -> "Training":
    """What the training in a run's folder cost.

    Raises:
      ConfigError: it is no run's folder.
    """
    from xworld.evaluation.scoreboard.entry import Training
    from xworld.training import load_config
    from xworld.training.logs.metrics import MetricsWriter

    config, rows = load_config(run), MetricsWriter.read(run)
    if not rows:
        raise ConfigError(f"The run in {run} has no metrics, so that nobody knows its steps. Train it first.")
    return Training(config.seed, int(rows[-1]["steps"]), round(rows[-1]["seconds"], 1))


def _this_machine() -> str:
    """Processor and number of cores, or the accelerator."""
    import jax

    device = jax.devices()[0]
    if device.platform != "cpu":
        return f"{jax.device_count()} x {device.device_kind}"
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"
