"""The command `xworld tasks`. As in `main.py`, heavy imports happen inside."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import OmitSubcommandPrefixes, Positional, arg, subcommand

from xworld.base.checks import check_seed, check_whole
from xworld.base.errors import ConfigError


@dataclass
class Show:
    """Print a task as a task file, with its map, and what the agents are told."""

    tasks: Annotated[Positional[str], arg(metavar="TASKS")]  # by name, as for evaluate --task-set
    number: int = 0  # which of them, from 0
    seed: int = 0  # decides which tasks are sampled

    def run(self) -> int:
        """Shows the task."""
        from xworld.tasks import briefing_text, tasks_by_name, to_text

        check_whole("--number", self.number, 0, 2**31 - 1)
        found = tasks_by_name(self.tasks, self.seed).task(self.number)
        if found is None:
            raise ConfigError(f"--number is {self.number}, and {self.tasks} has not so many tasks; they begin with 0.")
        env, task, _ = found
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
        from xworld.tasks.language.files import read_task

        if not self.files:
            raise ConfigError("There is nothing to check. Name one or more task files.")
        failures = []
        for file in self.files:
            try:
                read_task(file)
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
    split: Literal["train", "validation", "test", "all"] = "train"
    output: Path | None = None  # folder for the task files; printed by default

    def run(self) -> int:
        """Samples and writes."""
        import jax

        from xworld.base.files import check_folder, write_atomically
        from xworld.tasks import to_text
        from xworld.tasks.sets.named import make, make_universe

        check_whole("--number", self.number, 1, 100_000)
        check_seed(self.seed)
        make(self.env)
        universe = make_universe(self.env, split=self.split)
        folder = None if self.output is None else check_folder(self.output)
        keys = jax.random.split(jax.random.key(self.seed), self.number)
        tasks, _ = universe.sample_stacked(keys)
        for index in range(self.number):
            text = to_text(jax.tree.map(lambda leaf, index=index: leaf[index], tasks))
            if folder is None:
                print(text)
            else:
                path = folder / f"task{index}.toml"
                write_atomically(path, text.encode())
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
        from xworld.tasks.sets.probes import GROUPS

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

    command: OmitSubcommandPrefixes[
        Annotated[Show, subcommand("show")]
        | Annotated[Check, subcommand("check")]
        | Annotated[Sample, subcommand("sample")]
        | Annotated[Probes, subcommand("probes")]
    ]

    def run(self) -> int:
        """Runs the chosen one."""
        return self.command.run()
