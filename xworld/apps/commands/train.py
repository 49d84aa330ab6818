"""The commands `xworld train` and `xworld finetune`. As in `main.py`, heavy imports happen inside."""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from xworld.apps.commands.evaluate import INTERRUPTED, as_file_name
from xworld.base.errors import ConfigError, did_you_mean


def train_command(arguments: list[str]) -> type:
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
            from xworld.training.devices.devices import num_devices

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
can be overridden, as in --learner.learning-rate 1e-3; the defaults shown are those of the preset."""


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
    # test_set:v1, probes:GROUP, a .toml or .npz file of tasks, or an environment's name for held-out tasks of it
    task_set: str
    num_tasks: int | None = None  # how many held-out tasks, 512 by default; of a set that is fixed, the first so many
    total_steps: int | None = None  # environment steps; by default as many as the run had
    seed: int = 0  # decides what is drawn, and which held-out tasks
    output: Path | None = None  # folder of the new run; by default beside the run

    def run(self) -> int:
        """Trains."""
        from xworld.agents.players import check_same_physics
        from xworld.evaluation.task_sets import find_task_set
        from xworld.training import TrainingDiverged, finetune, load_config
        from xworld.training.devices.devices import num_devices, use_devices

        config = load_config(self.run_folder)
        total_steps = config.total_steps if self.total_steps is None else self.total_steps
        config = dataclasses.replace(config, seed=self.seed, total_steps=total_steps)
        use_devices(num_devices(config))
        collection = find_task_set(self.task_set, self.num_tasks, self.seed)
        check_same_physics(config.env, collection.env.config)
        name = f"{self.run_folder.resolve().name}-tuned-on-{as_file_name(collection.name)}"
        output = self.output or self.run_folder.resolve().parent / name
        tasks = {"name": collection.name, "content_hash": collection.content_hash}
        try:
            is_finished = finetune(self.run_folder, config, collection.tasks, tasks, output)
        except TrainingDiverged as error:
            print(f"xworld: {error}")
            return 1
        if not is_finished:
            print("Stopped and saved. The same command goes on.")
            return INTERRUPTED
        print(f"Finished {output}. Now: xworld evaluate --agent {output} --task-set {self.task_set}")
        return 0
