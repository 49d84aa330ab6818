"""The command `xworld lab`. As in `main.py`, heavy imports happen inside."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from xworld.apps.commands.evaluate import INTERRUPTED


@dataclass
class Lab:
    """Run an experiment: train its arms with several seeds, and draw one figure. Without a name, list them.

    After Ctrl-C the same command goes on; runs that are finished are not done again. Leaves NAME.json, NAME.png and
    NAME.html, and a folder for each run, which `xworld evaluate` and `xworld render` take.
    """

    name: Annotated[Positional[str | None], arg(metavar="NAME")] = None
    families: tuple[str, ...] = ()  # of tasks: some of the experiment's; all by default
    arms: tuple[str, ...] = ()  # likewise
    seeds: tuple[int, ...] = ()  # by default the experiment's
    total_steps: int | None = None  # environment steps of each run; by default as the experiment says
    jobs: int = 1  # runs side by side, each with its share of the cores
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

        from xworld.evaluation import trials_table

        chosen = experiment_by_name(self.name)
        folder = self.output or Path("runs") / "lab" / (f"{self.name}-quick" if self.quick else self.name)
        try:
            content = run_experiment(
                chosen,
                folder,
                families=self.families,
                arms=self.arms,
                seeds=self.seeds,
                is_quick=self.quick,
                total_steps=self.total_steps,
                num_jobs=self.jobs,
            )
        except KeyboardInterrupt:
            print(f"Stopped. What was done is kept in {folder}; the same command goes on.")
            return INTERRUPTED
        for family, of_family in content["families"].items():
            if len(content["families"]) > 1:
                print(family)
            rich.print(trials_table(of_family))
        print(f"Wrote {self.name}.json, {self.name}.png and {self.name}.html to {folder}")
        return 0
