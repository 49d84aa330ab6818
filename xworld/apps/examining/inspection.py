"""The command `xworld inspect`. As in `apps/commands/main.py`, heavy imports happen inside."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from xworld.base.checks import check_seed, check_whole
from xworld.base.errors import ConfigError

if TYPE_CHECKING:
    from xworld.tasks import TaskCollection


@dataclass
class Inspect:
    """Show what an agent remembers.

    Its score with less memory (of the last two trials, or of the present one only); how well a linear probe reads from
    its memory, when a trial begins, what made the goal in the first; and, of an agent that attends, where it looks. Of
    a training run also gradients by the quarter. Leaves inspection.json and inspection.png.
    """

    agent: Annotated[Positional[str], arg(metavar="RUN|FOLDER|pretrained")]
    which: Literal["last", "best"] = "last"  # of a run: its newest checkpoint, or its best so far
    # for an agent with a network of your own: what makes it of an Env
    network: Annotated[str | None, arg(metavar="module:function")] = None
    task_set: str | None = None  # tasks by name, as for evaluate; by default held-out tasks of the run's own universe
    num_tasks: int = 512  # whose scores are told
    num_watched: int = 2048  # that are played for the probe and for attention, these among them; of a set all at most
    num_trials: int | None = None  # by default the most that the tasks have, and at least 2
    seed: int = 0  # decides directions and chance, and which tasks are sampled
    output: Path | None = None  # folder for what is written; by default the agent's, of a pretrained one runs/NAME

    def run(self) -> int:
        """Inspects and reports."""
        from xworld.base.xla.devices import num_cores, use_devices

        check_seed(self.seed)
        if self.num_trials is not None:
            check_whole("--num-trials", self.num_trials, 2)
        use_devices(num_cores())
        import json

        import rich

        from xworld.agents.players import agent_folder, load_agent, results_folder
        from xworld.base.files import check_folder, write_atomically
        from xworld.evaluation.inspection.figure import draw_inspection
        from xworld.evaluation.inspection.inspect import inspect_agent
        from xworld.evaluation.inspection.table import inspection_tables
        from xworld.evaluation.report.look import to_png

        folder = agent_folder(self.agent)
        if folder is None:
            raise ConfigError(f"{self.agent} is no trained agent. Name the folder of a training run, or pretrained.")
        loaded = load_agent(folder, self.which, self.network)
        collection = self._tasks(folder)
        num_trials = max(int(collection.tasks.num_trials.max()), 2) if self.num_trials is None else self.num_trials
        training = _training(folder)
        output = check_folder(self.output or results_folder(self.agent, folder))
        content = inspect_agent(
            loaded, collection, num_trials, self.seed, num_scored=self.num_tasks, show_progress=True
        )
        content = {**content, "training": training, "inspect": self._about(collection)}
        text = json.dumps(content, indent=1) + "\n"
        write_atomically(output / "inspection.json", text.encode())
        content = json.loads(text)
        write_atomically(output / "inspection.png", to_png(draw_inspection(content)))
        for table in inspection_tables(content):
            rich.print(table)
        print(f"Wrote inspection.json and inspection.png to {output}")
        return 0

    def _tasks(self, folder: Path) -> "TaskCollection":
        from xworld.tasks import tasks_by_name
        from xworld.tasks.sets.by_name import Sampled
        from xworld.training import load_config
        from xworld.training.run.finetune import why_seen

        number = max(check_whole("--num-tasks", self.num_tasks, 1), check_whole("--num-watched", self.num_watched, 1))
        if self.task_set is None:
            reason = why_seen(folder, load_config(folder))
            if reason is not None:
                raise ConfigError(f"{folder} {reason}: no task is held out. Name tasks to play by --task-set.")
        named = tasks_by_name(str(folder) if self.task_set is None else self.task_set, self.seed)
        if isinstance(named, Sampled):
            return named.collect(number)
        collection = named.collect()
        collection.first(self.num_tasks)  # says if there are not so many
        return collection.first(min(number, len(collection.tasks.trial_length)))

    def _about(self, collection: "TaskCollection") -> dict[str, Any]:
        return {
            "which": self.which,
            "tasks": collection.name,
            "content_hash": collection.content_hash,
            "seed": self.seed,
        }


def _training(folder: Path) -> list[dict[str, float]] | None:
    """By quarters of the run, if the folder is that of a run by PPO."""
    from xworld.evaluation.inspection.inspect import training_signs
    from xworld.training import PPOConfig, load_config

    metrics = folder / "metrics.csv"
    if not metrics.exists():
        return None
    learner = load_config(folder).learner
    return training_signs(metrics, learner.optimiser.max_gradient_norm) if isinstance(learner, PPOConfig) else None
