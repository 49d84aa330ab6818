"""The commands `xworld train` and `xworld finetune`. As in `main.py`, heavy imports happen inside."""

import dataclasses
import functools
import operator
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg, subcommand

from xworld.base.configs import OneOf
from xworld.base.errors import INTERRUPTED, ConfigError, did_you_mean
from xworld.base.files import as_file_name

if TYPE_CHECKING:
    from xworld.agents import LoadedAgent
    from xworld.core.types import Task
    from xworld.training import RunConfig, TeachingConfig
    from xworld.training.logs.metrics import Row


def train_command(arguments: list[str]) -> type:
    """The dataclass of `xworld train`, whose defaults depend on `--preset` or `--resume` among the arguments."""
    if arguments[:1] != ["train"]:
        return dataclasses.make_dataclass("Train", [], namespace={"__doc__": _TRAIN_HELP.partition("\n")[0]})
    from xworld.training import CURRICULA, PARTNERS, TeachingConfig

    default, taught = _default(arguments), _taught(arguments)
    name = OneOf(CURRICULA).name_of(default.curriculum, "RunConfig.curriculum")
    others = OneOf(PARTNERS).name_of(default.partners, "RunConfig.partners")

    @dataclass
    class Train:
        config: Annotated[type(default), arg(name="")] = default  # type: ignore[valid-type]
        preset: str = "demo"  # where the defaults of all other options come from
        # which tasks are trained on: uniform, noop, plr, learnability, progress or accel; it has options of its own
        curriculum: Annotated[str, arg(metavar="NAME")] = name
        # who plays in the other seats: self, noisy-self, fixed or pool; each has options of its own
        partners: Annotated[str, arg(metavar="NAME")] = others
        run_folder: Annotated[Path | None, arg(name="run")] = None  # new folder for the run; runs/PRESET by default
        resume: Path | None = None  # folder of a run to go on with
        continue_if_started: bool = False  # go on if the run's folder has a run already
        # a network of your own in place of --agent: what makes it of an Env
        network: Annotated[str | None, arg(metavar="module:function")] = None
        # an agent that the student is drawn to at first: a run's folder, a saved agent, or pretrained
        teacher: Annotated[str | None, arg(metavar="RUN")] = None
        teacher_which: Literal["last", "best"] = "last"  # of a run: its newest checkpoint, or its best so far
        teaching: TeachingConfig = taught  # with --teacher: how much the student listens to it, and for how long
        num_devices: int | None = None  # of a CPU; by default one a core, as far as they share groups evenly
        log: tuple[Literal["tensorboard", "wandb"], ...] = ()  # where metrics go, beside the run's folder
        # keep every episode that is played to learn from, in a new folder: a data set, as xworld record makes them
        record: Path | None = None
        film: bool = False  # film an episode after the first evaluation, into first.gif in the run's folder
        coordinator: str | None = None  # address:port of process 0, or "auto": train in several processes
        num_processes: int = 1  # with --coordinator: how many there are
        process: int = 0  # with --coordinator: this one's number, from 0

        def run(self) -> int:
            """Trains."""
            return _train(self)

    Train.__doc__ = _TRAIN_HELP
    return Train


def _train(command: Any) -> int:
    """Trains as the options of `xworld train` say; the exit status."""
    from xworld.training import (
        RunConfig,
        TeachingConfig,
        TrainingDiverged,
        check_not_fine_tuned,
        join_processes,
        train,
        use_host_devices,
    )
    from xworld.training.devices.devices import num_devices

    folder = command.resume or command.run_folder or Path("runs") / command.preset
    check_not_fine_tuned(folder)
    is_started = command.continue_if_started and (folder / "config.json").exists()
    is_resumed = command.resume is not None or is_started
    if command.coordinator is None and (command.num_processes, command.process) != (1, 0):
        raise ConfigError("--num-processes and --process need --coordinator, the address of process 0.")
    config = _as(RunConfig, command.config)
    use_host_devices(num_devices(config) if command.num_devices is None else command.num_devices)
    if command.coordinator is not None:
        join_processes(command.coordinator, command.num_processes, command.process)
    agent = _own_network(command.network, config)
    school = _School.find(folder, command.teacher, command.teacher_which, is_resumed=is_resumed)
    is_unused = school is None and command.teaching != TeachingConfig()
    if is_unused or (command.teacher is None and command.teacher_which != "last"):
        raise ConfigError("--teaching and --teacher-which need --teacher, the run of an agent that teaches.")
    try:
        film = FirstFilm(folder / "first.gif") if command.film else None
        options = {"agent": agent, "loggers": command.log, "on_evaluation": film, "record": command.record}
        if school is not None:
            options |= school.options(folder, config, agent, command.teaching)
        is_finished = train(config, folder, resume=is_resumed, **options)
    except TrainingDiverged as error:
        print(f"xworld: {error}", file=sys.stderr)
        return 1
    if not is_finished:
        rest = {name: getattr(command, name) for name in ("network", "record", "log", "film", "num_devices")}
        print(f"Stopped and saved. Go on with: {proposed('train', resume=folder, **rest)}")
        return INTERRUPTED
    print(f"Finished {folder}. Now: {proposed('evaluate', agent=folder, network=command.network)}")
    return 0


@dataclass(frozen=True)
class _School:
    """The teacher of a run."""

    loaded: "LoadedAgent"

    @classmethod
    def find(
        cls, folder: Path, name: str | None, which: Literal["last", "best"], *, is_resumed: bool
    ) -> "_School | None":
        """The named one; else the one that a run that goes on has in its folder; None for none.

        Raises:
          ConfigError: there is no such agent.
        """
        from xworld.agents.players import agent_folder, load_agent
        from xworld.training import read_teacher

        if name is None:
            kept = read_teacher(folder) if is_resumed else None
            return None if kept is None else cls(kept[0])
        found = agent_folder(name)
        if found is None:
            raise ConfigError(f"--teacher {name}: only trained agents teach. Name the folder of a run, or pretrained.")
        return cls(load_agent(found, which))

    def options(self, folder: Path, config: "RunConfig", agent: Any, teaching: "TeachingConfig") -> dict[str, Any]:
        """What `train` is given for it.

        Args:
          folder: of the run.
          config: of the run.
          agent: the student's network, if it is one of the user's own.
          teaching: how the teacher is listened to.

        Raises:
          ConfigError: it cannot teach the student.
        """
        from xworld.agents import make_agent
        from xworld.training import make_teacher, save_teacher

        student = make_agent(config.agent, config.env) if agent is None else agent
        teacher = make_teacher(self.loaded, student, config.env, teaching)
        return {"terms": (teacher,), "on_start": lambda: save_teacher(folder, self.loaded, teaching)}


@dataclass(frozen=True)
class FirstFilm:
    """Films the agent when it was evaluated first, so that one sees what it learns afterwards."""

    path: Path

    def __call__(self, agent: "LoadedAgent", tasks: "Task", row: "Row") -> None:
        """Writes the film if there is none."""
        import jax

        from xworld.agents import AgentPolicy
        from xworld.core.env import Env
        from xworld.evaluation import record
        from xworld.rendering import episode_frames, save_animation

        if self.path.exists():
            return
        env, task = Env(agent.env_config), jax.tree.map(lambda leaf: leaf[0], tasks)
        states, timesteps = record(env, task, AgentPolicy(agent.params, agent.agent), jax.random.key(0))
        save_animation(episode_frames(env, states, timesteps), self.path)
        print(f"Wrote {self.path}: an episode of the agent after {row['steps'] / 1e6:.1f} M steps")


_TRAIN_HELP = """Train an agent; Ctrl-C saves and stops, --resume goes on bit for bit.

Leaves config.json, metrics.csv, metrics.jsonl and checkpoints in the run's folder. Every field of the configuration
can be overridden, as in --learner.learning-rate 1e-3; the defaults shown are those of the preset."""


def _default(arguments: list[str]) -> "RunConfig":
    """The run that options change, by `--preset` or `--resume`, `--curriculum` and `--partners` among the arguments."""
    from xworld.training import CURRICULA, PARTNERS, PRESETS, load_config

    preset, resumed = _option(arguments, "--preset"), _option(arguments, "--resume")
    if preset is not None and preset not in PRESETS:
        raise ConfigError(f"--preset: {preset!r} is unknown. {did_you_mean(preset, PRESETS)}")
    if preset is not None and resumed is not None:
        raise ConfigError("--preset and --resume exclude each other: a run goes on as it was configured.")
    if resumed is not None and _option(arguments, "--run") is not None:
        raise ConfigError("--run and --resume exclude each other: a run goes on in its folder. Leave --run out.")
    chosen = _option(arguments, "--curriculum")
    if chosen is not None and chosen not in CURRICULA:
        raise ConfigError(f"--curriculum: {chosen!r} is unknown. {did_you_mean(chosen, CURRICULA)}")
    others = _option(arguments, "--partners")
    if others is not None and others not in PARTNERS:
        raise ConfigError(f"--partners: {others!r} is unknown. {did_you_mean(others, PARTNERS)}")
    config = PRESETS[preset or "demo"]() if resumed is None else load_config(Path(resumed))
    return _with_choice(config, chosen, others)


def _taught(arguments: list[str]) -> "TeachingConfig":
    """What `--teaching` options change: how the run that goes on by `--resume` is taught, or the defaults."""
    from xworld.training import TeachingConfig, read_teaching

    resumed = _option(arguments, "--resume")
    return (None if resumed is None else read_teaching(Path(resumed))) or TeachingConfig()


def _with_choice(config: "RunConfig", curriculum: str | None, partners: str | None) -> "RunConfig":
    """The run as tyro shows it: one kind of learner as plain fields, several as subcommands.

    Of curricula and partners it has the fields of the named one, or by default of the configuration's own.
    """
    from xworld.training import CURRICULA, LEARNERS, PARTNERS, RunConfig

    chosen, tasks, others = config.learner, config.curriculum, config.partners
    if curriculum is not None and type(tasks) is not CURRICULA[curriculum]:
        tasks = CURRICULA[curriculum]()
    if partners is not None and type(others) is not PARTNERS[partners]:
        others = PARTNERS[partners]()
    kinds = [
        Annotated[kind, subcommand(name, default=chosen) if type(chosen) is kind else subcommand(name)]
        for name, kind in LEARNERS.items()
    ]
    learner_kind: Any = functools.reduce(operator.or_, kinds) if len(kinds) > 1 else type(chosen)

    @dataclass(frozen=True)
    class WithChoice(RunConfig):
        learner: learner_kind = chosen  # type: ignore[valid-type]
        curriculum: type(tasks) = tasks  # type: ignore[valid-type]
        partners: type(others) = others  # type: ignore[valid-type]

    return _as(WithChoice, dataclasses.replace(config, curriculum=tasks, partners=others))


def _own_network(name: str | None, config: "RunConfig") -> Any:
    """The network that a `module:function` makes for the run's environments; None for none."""
    from xworld.agents.players import own_network
    from xworld.core.env import Env

    return None if name is None else own_network(name, Env(config.env))


def proposed(*words: Any, **options: Any) -> str:
    """A command that is proposed, as a shell reads it: `xworld`, words, and options.

    Args:
      words: what follows on `xworld`.
      options: values by the options' names, with underscores; those that are None, False or empty are left out.
    """
    line = ["xworld", *words]
    for name, value in options.items():
        if value is None or value is False or value == ():
            continue
        values = value if isinstance(value, tuple) else () if value is True else (value,)
        line += [f"--{name.replace('_', '-')}", *values]
    return shlex.join(map(str, line))


def _as(kind: "type[RunConfig]", config: "RunConfig") -> "RunConfig":
    """The same run as an instance of another class."""
    return kind(**{field.name: getattr(config, field.name) for field in dataclasses.fields(config)})


def _option(arguments: list[str], name: str) -> str | None:
    """The value of an option, given as `--name value` or `--name=value`, or None."""
    for position, argument in enumerate(arguments):
        if argument == name and position + 1 < len(arguments):
            return arguments[position + 1]
        if argument.startswith(name + "="):
            return argument.removeprefix(name + "=")
    return None


@dataclass
class Finetune:
    """Train a run's agent further on the tasks of a set, as a new run.

    Its evaluation on the same tasks is what `evaluate --normalise-by` takes, as in AdA. Ctrl-C saves and stops; the
    same command goes on.
    """

    run_folder: Annotated[Positional[Path], arg(metavar="RUN")]  # folder of the run whose agent is trained further
    # an environment or a run, for held-out tasks of it; a test set, such as v2; probes:GROUP or a probe; or a file of
    # tasks (.toml, .npz)
    task_set: str
    num_tasks: int | None = None  # the first so many; by default all, of an environment or a run 512
    # for an agent with a network of your own: what makes it of an Env
    network: Annotated[str | None, arg(metavar="module:function")] = None
    total_steps: int | None = None  # environment steps; by default as many as the run had
    seed: int = 0  # decides what is drawn, and which tasks are sampled
    output: Path | None = None  # folder of the new run; by default beside the run

    def run(self) -> int:
        """Trains."""
        from xworld.agents.players import check_same_physics
        from xworld.base.xla.devices import use_devices
        from xworld.tasks import tasks_by_name
        from xworld.training import TrainingDiverged, finetune, load_config
        from xworld.training.devices.devices import num_devices

        config = load_config(self.run_folder)
        total_steps = config.total_steps if self.total_steps is None else self.total_steps
        config = dataclasses.replace(config, seed=self.seed, total_steps=total_steps)
        use_devices(num_devices(config))
        collection = tasks_by_name(self.task_set, self.seed).collect(self.num_tasks)
        check_same_physics(config.env, collection.env.config)
        name = f"{self.run_folder.resolve().name}-tuned-on-{as_file_name(collection.name)}"
        output = self.output or self.run_folder.resolve().parent / name
        tasks = {"name": collection.name, "content_hash": collection.content_hash}
        try:
            agent = _own_network(self.network, config)
            is_finished = finetune(self.run_folder, config, collection.tasks, tasks, output, agent=agent)
        except TrainingDiverged as error:
            print(f"xworld: {error}", file=sys.stderr)
            return 1
        if not is_finished:
            print("Stopped and saved. The same command goes on.")
            return INTERRUPTED
        rest = {"num_tasks": self.num_tasks, "seed": self.seed or None, "network": self.network}
        print(f"Finished {output}. Now: {proposed('evaluate', agent=output, task_set=self.task_set, **rest)}")
        return 0
