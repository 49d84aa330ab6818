"""The command `xworld lab`. As in `main.py`, heavy imports happen inside."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from xworld.base.errors import INTERRUPTED, ConfigError, did_you_mean

if TYPE_CHECKING:
    from xworld.apps.laboratory import Experiment


@dataclass
class Lab:
    """Run an experiment: train its arms with several seeds, and draw one figure. Without a name, list them.

    After Ctrl-C the same command goes on; runs that are finished are not done again. Leaves NAME.json, NAME.png and
    NAME.html, and a folder for each run, which `xworld evaluate` and `xworld render` take. Runs that diverge are named,
    the others go on, and the exit status is 1.
    """

    name: Annotated[Positional[str | None], arg(metavar="NAME")] = None
    families: tuple[str, ...] = ()  # of tasks: some of the experiment's; all by default
    axis: str | None = None  # of `scale`: size, memory, pool, trials or complexity; one family, or two
    arms: tuple[str, ...] = ()  # likewise
    seeds: tuple[int, ...] = ()  # by default the experiment's, with --quick the first of them
    total_steps: int | None = None  # environment steps of each run; by default as the experiment says
    jobs: int = 1  # runs side by side, each with its share of the cores
    report_only: bool = False  # run nothing: write the table, the figure and the page of the runs that are finished
    quick: bool = False  # in miniature: minutes, and hardly anything is learned
    output: Path | None = None  # folder for all of it; runs/lab/NAME by default, with --quick runs/lab/NAME-quick

    def run(self) -> int:
        """Lists or runs."""
        from xworld.apps.laboratory import experiment_by_name, known_experiments, run_experiment

        if self.name is None:
            for one in known_experiments().values():
                print(f"{one.name}: {one.question}\n    arms: {', '.join(one.arms)}\n    cost: {one.cost}")
                if len(one.families) > 1:
                    print(f"    families: {', '.join(one.families)}")
            return 0
        import rich

        from xworld.apps.laboratory.report.missing import lines_of_missing
        from xworld.evaluation import trials_table

        chosen = experiment_by_name(self.name)
        families = self.families if self.axis is None else _families_of(chosen, self.axis, self.families)
        folder = self.output or Path("runs") / "lab" / (f"{self.name}-quick" if self.quick else self.name)
        try:
            content = run_experiment(
                chosen,
                folder,
                families=families,
                arms=self.arms,
                seeds=self.seeds,
                is_quick=self.quick,
                total_steps=self.total_steps,
                num_jobs=self.jobs,
                is_report_only=self.report_only,
            )
        except KeyboardInterrupt:
            print(f"Stopped. What was done is kept in {folder}; the same command goes on.")
            return INTERRUPTED
        for family, of_family in content["families"].items():
            if len(content["families"]) > 1:
                print(family)
            rich.print(trials_table(of_family))
        for line in lines_of_missing(content["missing"]):
            print(line)
        figure = f", {self.name}.png" if content["families"] else ""
        print(f"Wrote {self.name}.json{figure} and {self.name}.html to {folder}")
        num_diverged = len(content["missing"]["diverged"])
        if not num_diverged:
            return 0
        print(
            f"xworld: {num_diverged} {'run' if num_diverged == 1 else 'runs'} diverged, and will not be done again. To "
            "train one anew, remove its folder.",
            file=sys.stderr,
        )
        return 1


def _families_of(experiment: "Experiment", axis: str, families: tuple[str, ...]) -> tuple[str, ...]:
    """The families of an axis: those that are called so, up to the first "-".

    Raises:
      ConfigError: the experiment has no axes, or none of that name; or families were named as well.
    """
    if experiment.fit_along is None:
        raise ConfigError(f"--axis is of scale; {experiment.name} has --families.")
    if families:
        raise ConfigError("--axis and --families exclude each other. Write one.")
    axes = list(dict.fromkeys(family.partition("-")[0] for family in experiment.families))
    if axis not in axes:
        raise ConfigError(f"--axis: {axis!r} is unknown. {did_you_mean(axis, axes)}")
    return tuple(family for family in experiment.families if family.partition("-")[0] == axis)
