"""The command `xworld`. Heavy imports happen inside the commands, so that small ones answer at once."""

import contextlib
import dataclasses
import io
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import tyro
from tyro.conf import OmitSubcommandPrefixes, Positional, arg, subcommand

from xworld.cli_evaluation import INTERRUPTED, Evaluate, Finetune, held_out_tasks, num_devices
from xworld.cli_play import Play
from xworld.cli_study import Study
from xworld.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from xworld.core.env import Env
    from xworld.core.types import Task
    from xworld.evaluation import Policy


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit status: 0, 2 for input that cannot be meant, 130 when interrupted."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return _parse(arguments).run()
    except ConfigError as error:
        print(f"xworld: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("xworld: interrupted", file=sys.stderr)
        return INTERRUPTED


class Command(Protocol):
    """What the command line is parsed into."""

    def run(self) -> int:
        """Does it; returns the exit status."""
        ...


@dataclass
class Render:
    """Film an episode of a trained agent or a history, or draw or film a task file."""

    # folder of a training run; a history (.jsonl) that was written by play or evaluate; or a task file
    source: Annotated[Positional[Path], arg(metavar="RUN|HISTORY|TASKFILE")]
    agent: Literal["random", "noop", "searcher", "expert"] | None = None  # who plays the task file; a still without
    output: Path | None = None  # .gif or .mp4, for a still .png; beside the source by default
    seed: int = 0  # decides tasks, directions and chance
    reveal: bool = False  # show what is hidden from the agent
    fps: float = 6.0  # frames a second

    def run(self) -> int:
        """Renders."""
        from xworld.rendering import save_picture

        if self.source.is_dir():
            if self.agent is not None:
                raise ConfigError("--agent is for task files; in a run's folder the run's agent plays.")
            return self._film_run()
        if self.source.suffix == ".jsonl":
            if self.agent is not None:
                raise ConfigError("--agent is for task files; a history has been played already.")
            return self._film_history()
        env, task = _read_task(self.source)
        if self.agent is not None:
            return self._film_task(env, task, self.agent)
        import jax

        from xworld.rendering import render_frame

        output = self.output or self.source.with_suffix(".png")
        state, timestep = env.reset(jax.random.key(self.seed), task)
        save_picture(render_frame(env, state, timestep, reveal=self.reveal), output)
        print(f"Wrote {output}")
        return 0

    def _film_run(self) -> int:
        import jax

        from xworld.agents import load
        from xworld.core.env import Env
        from xworld.evaluation import AGENT, AgentPolicy, compare, telling_episode
        from xworld.rendering import episode_frames, save_animation
        from xworld.training import load_config

        config, loaded = load_config(self.source), load(self.source)
        env, policy, key = Env(config.env), AgentPolicy(loaded.params, loaded.agent), jax.random.key(self.seed)
        tasks = held_out_tasks(config, 128, self.seed)
        scores = compare(env, tasks, [policy], key, show_progress=True).scores[AGENT][0]
        index, states, timesteps = telling_episode(env, tasks, policy, key, scores)
        output = self.output or self.source / "replay.gif"
        save_animation(episode_frames(env, states, timesteps, reveal=self.reveal), output, fps=self.fps)
        task_id = f"world {int(tasks.world_id[index])}, game {int(tasks.game_id[index])}"
        print(f"Wrote {output}: held-out task {index} ({task_id})")
        return 0

    def _film_history(self) -> int:
        from xworld.core.env import Env
        from xworld.histories import read_history, replay
        from xworld.rendering import episode_frames, save_animation
        from xworld.tasks.rows import located

        history = read_history(self.source)
        with located(str(self.source)):
            states, timesteps = replay(history)
        output = self.output or self.source.with_suffix(".gif")
        frames = episode_frames(Env(history.header.config), states, timesteps, reveal=self.reveal)
        save_animation(frames, output, fps=self.fps)
        print(f"Wrote {output}")
        return 0

    def _film_task(self, env: "Env", task: "Task", player: str) -> int:
        import jax

        from xworld.evaluation import record
        from xworld.rendering import episode_frames, save_animation

        states, timesteps = record(env, task, _player(player, env, task), jax.random.key(self.seed))
        output = self.output or self.source.with_suffix(".gif")
        save_animation(episode_frames(env, states, timesteps, reveal=self.reveal), output, fps=self.fps)
        print(f"Wrote {output}")
        return 0


@dataclass
class Show:
    """Print a task file: its map, and what the agents are told."""

    file: Positional[Path]

    def run(self) -> int:
        """Shows the task."""
        from xworld.tasks import briefing_text, to_text

        env, task = _read_task(self.file)
        print(to_text(task))
        briefing = env.briefing(task)
        for agent in range(env.config.num_agents):
            goal, rules = briefing_text(briefing, agent)
            print(f"# agent{agent} is told: goal {goal}; rules {'; '.join(rules) or 'none'}")
        return 0


@dataclass
class Check:
    """Check task files: what is wrong, where, and what would be right."""

    files: Positional[tuple[Path, ...]]

    def run(self) -> int:
        """Checks every file, and says all that is wrong before it fails."""
        if not self.files:
            raise ConfigError("There is nothing to check. Name one or more task files.")
        failures = []
        for file in self.files:
            try:
                _read_task(file)
                print(f"{file}: ok")
            except ConfigError as error:
                failures.append(str(error))
        if failures:
            raise ConfigError("; ".join(failures))
        return 0


@dataclass
class Sample:
    """Sample tasks from the universe of a named environment, as task files."""

    env: str = "rooms4-13x13"  # name of an environment
    number: int = 1  # how many tasks
    seed: int = 0
    split: Literal["train", "test", "all"] = "train"
    output: Path | None = None  # folder for the task files; printed by default

    def run(self) -> int:
        """Samples and writes."""
        import jax

        from xworld.evaluation import check_folder
        from xworld.registry import make, make_universe
        from xworld.tasks import to_text

        if self.number < 1:
            raise ConfigError(f"--number is {self.number}; write a whole number of at least 1.")
        make(self.env)
        universe = make_universe(self.env, split=self.split)
        folder = None if self.output is None else check_folder(self.output)
        keys = jax.random.split(jax.random.key(self.seed), self.number)
        tasks = jax.device_get(jax.jit(jax.vmap(universe.sample))(keys))
        for index in range(self.number):
            text = to_text(jax.tree.map(lambda leaf, index=index: leaf[index], tasks))
            if folder is None:
                print(text)
            else:
                path = folder / f"task{index}.toml"
                path.write_text(text)
                print(f"Wrote {path}")
        return 0


@dataclass
class Probes:
    """List the probe tasks, or print the task file of one."""

    group: str | None = None  # list this group only
    show: str | None = None  # name of the probe to print

    def run(self) -> int:
        """Lists or prints."""
        from xworld.tasks import probe, probes
        from xworld.tasks.probe_files import GROUPS

        if self.show is not None:
            if self.group is not None:
                raise ConfigError("--show and --group exclude each other: a probe's name is enough.")
            print(probe(self.show).text, end="")
            return 0
        for group in GROUPS if self.group is None else (self.group,):
            listed = probes(group)
            print(f"{group}: {GROUPS[group]} (agents: {listed[0].config.num_agents})")
            for one in listed:
                print(f"  {one.name}: {one.idea}")
        return 0


@dataclass
class Tasks:
    """Show, check and sample tasks; list the probe tasks."""

    command: (
        Annotated[Show, subcommand("show")]
        | Annotated[Check, subcommand("check")]
        | Annotated[Sample, subcommand("sample")]
        | Annotated[Probes, subcommand("probes")]
    )

    def run(self) -> int:
        """Runs the chosen one."""
        return self.command.run()


def _train_command(arguments: list[str]) -> type:
    """The dataclass of `xworld train`, whose defaults depend on `--preset` or `--resume` among the arguments."""
    if arguments[:1] != ["train"]:
        return dataclasses.make_dataclass("Train", [], namespace={"__doc__": _TRAIN_HELP.partition("\n")[0]})
    from xworld.training import PRESETS, RunConfig, load_config

    preset, resumed = _option(arguments, "--preset"), _option(arguments, "--resume")
    if preset is not None and preset not in PRESETS:
        raise ConfigError(f"--preset: {preset!r} is unknown. {did_you_mean(preset, PRESETS)}")
    if preset is not None and resumed is not None:
        raise ConfigError("--preset and --resume exclude each other: a run goes on as it was configured.")
    default = PRESETS[preset or "demo"]() if resumed is None else load_config(Path(resumed))

    @dataclass
    class Train:
        config: Annotated[RunConfig, arg(name="")] = default
        preset: str = "demo"  # where the defaults of all other options come from
        run_folder: Annotated[Path | None, arg(name="run")] = None  # new folder for the run; runs/PRESET by default
        resume: Path | None = None  # folder of a run to go on with
        continue_if_started: bool = False  # go on if the run's folder has a run already
        num_devices: int | None = None  # devices to make of a CPU; by default one a core
        log: tuple[Literal["tensorboard", "wandb"], ...] = ()  # where metrics go, beside the run's folder
        coordinator: str | None = None  # address:port of process 0, or "auto": train in several processes
        num_processes: int = 1  # with --coordinator: how many there are
        process: int = 0  # with --coordinator: this one's number, from 0

        def run(self) -> int:
            """Trains."""
            from xworld.training import TrainingDiverged, check_not_fine_tuned, join_processes, train, use_host_devices

            folder = self.resume or self.run_folder or Path("runs") / self.preset
            check_not_fine_tuned(folder)
            is_resumed = self.resume is not None or (self.continue_if_started and (folder / "config.json").exists())
            if self.coordinator is None and (self.num_processes, self.process) != (1, 0):
                raise ConfigError("--num-processes and --process need --coordinator, the address of process 0.")
            use_host_devices(self.num_devices or num_devices(self.config))
            if self.coordinator is not None:
                join_processes(self.coordinator, self.num_processes, self.process)
            try:
                is_finished = train(self.config, folder, resume=is_resumed, loggers=self.log)
            except TrainingDiverged as error:
                print(f"xworld: {error}", file=sys.stderr)
                return 1
            if not is_finished:
                print(f"Stopped and saved. Go on with: xworld train --resume {folder}")
                return INTERRUPTED
            print(f"Finished {folder}. Now: xworld evaluate --agent {folder}")
            return 0

    Train.__doc__ = _TRAIN_HELP
    return Train


_TRAIN_HELP = """Train an agent; Ctrl-C saves and stops, --resume goes on bit for bit.

Leaves config.json, metrics.csv, metrics.jsonl and checkpoints in the run's folder. Every field of the configuration
can be overridden, as in --ppo.learning-rate 1e-3; the defaults shown are those of the preset."""


def _parse(arguments: list[str]) -> Command:
    """The command that the arguments mean. What tyro has against them becomes a `ConfigError` of one line."""
    commands: Any = (
        Annotated[_train_command(arguments), subcommand("train")]
        | Annotated[Finetune, subcommand("finetune")]
        | Annotated[Evaluate, subcommand("evaluate")]
        | Annotated[Play, subcommand("play")]
        | Annotated[Study, subcommand("study")]
        | Annotated[Render, subcommand("render")]
        | Annotated[Tasks, subcommand("tasks")]
    )
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(commands, prog="xworld", args=arguments, config=(OmitSubcommandPrefixes,))
    except SystemExit as stop:
        if not stop.code:  # help was asked for, and given
            raise
        raise ConfigError(_one_line(complaint.getvalue())) from stop


def _one_line(box: str) -> str:
    """The words in tyro's box of complaints, without its frame and its pointer to the help."""
    lines = [re.sub(r"[╭╮╰╯│─]", " ", line).strip() for line in box.splitlines()[1:]]
    words = [line for line in lines if line and not line.startswith("For full helptext")]
    line = re.sub(r"Error parsing __tyro-dummy-inner__\S*: ", "", " ".join(words))  # tyro's name for no argument
    return line.rstrip(".") + ". See xworld --help."


def _option(arguments: list[str], name: str) -> str | None:
    """The value of an option, given as `--name value` or `--name=value`, or None."""
    for position, argument in enumerate(arguments):
        if argument == name and position + 1 < len(arguments):
            return arguments[position + 1]
        if argument.startswith(name + "="):
            return argument.removeprefix(name + "=")
    return None


def _read_task(file: Path) -> tuple["Env", "Task"]:
    """The task in a file, and an environment that fits it."""
    from xworld.core.env import Env
    from xworld.tasks.task_file import read_task

    config, task = read_task(file)
    return Env(config), task


def _player(name: str, env: "Env", task: "Task") -> "Policy":
    """The scripted policy called `name`, for one task."""
    import jax

    from xworld.evaluation.players import SCRIPTED, plan_policy

    if name in SCRIPTED:
        return SCRIPTED[name]
    return plan_policy(env, jax.tree.map(lambda leaf: leaf[None], task), show_progress=False)
