"""The command `xworld study`. As in `main.py`, heavy imports happen inside."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitSubcommandPrefixes, Positional, arg, subcommand

from xworld.apps.commands.evaluate import BEST_RETURNS_FOLDER
from xworld.apps.commands.train import proposed


@dataclass
class StudyRun:
    """Take a participant through a study: consent, instructions, practice with feedback, then the probe tasks.

    All that is done is written at once. When the window was closed, or the machine has failed, the same command goes
    on where it stopped.
    """

    study: Annotated[Positional[str], arg(metavar="STUDY")]  # a .toml file, or a study that comes with xworld
    participant: str | None = None  # an id that does not say who it is, such as P07; a new one is made without it
    # who plays beside the participant, one of the study's `partners`: person, for two people at one keyboard, or a
    # player's name; needed where it has several
    partner: str | None = None
    output: Path = Path("runs/study")  # folder for the participants' folders
    keys: Path | None = None  # TOML file that gives other keys to actions, as for `xworld play`
    best_returns: Path = BEST_RETURNS_FOLDER  # folder where the expert's best returns are kept
    size: tuple[int, int] = (1100, 760)  # of the window, in pixels

    def run(self) -> int:
        """Opens the window."""
        # A window takes a step at a time: a CPU is faster at that than what has to be sent to.
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        from xworld.apps.play.bindings import Bindings, read_bindings
        from xworld.apps.play.window import Window
        from xworld.apps.study import Sitting, find_study, make_id, open_record
        from xworld.apps.study.config import check_signs
        from xworld.base.files import locked
        from xworld.base.xla.cache import keep_compiled

        keep_compiled()
        bindings = Bindings() if self.keys is None else read_bindings(self.keys)
        print("Preparing the study.", flush=True)
        study = find_study(self.study)
        check_signs(study)
        participant = make_id() if self.participant is None else self.participant
        record = open_record(study, participant, self.output, self.partner)
        print(f"Participant {participant}. What is done is written to {record.folder}.")
        with locked(record.folder), contextlib.closing(Window(self.size)) as window:
            record = record.read_again()
            window.play(lambda: Sitting(study, record, bindings, self.best_returns))
        status = record.read_again().status
        if status == "unfinished":
            is_default = self.best_returns == BEST_RETURNS_FOLDER
            options = {"participant": participant, "output": self.output, "keys": self.keys}
            options["best_returns"] = None if is_default else self.best_returns
            print(f"Not finished. Go on with: {proposed('study', 'run', self.study, **options)}")
        else:
            print(f"{participant} has {status}.")
        return 0


@dataclass
class StudyReport:
    """Compare people with agents: the score of the last trial on the same tasks, for every number of trials.

    Leaves report.html, scores.json, scores.csv, people.png and trials.png.
    """

    folders: Annotated[Positional[tuple[Path, ...]], arg(metavar="FOLDER")]  # of participants, or with many of them
    # players beside random, noop and expert: pretrained, or the folder of a training run or of a saved agent, ...
    agents: tuple[str, ...] = ()
    # for those of them with a network of your own: what makes it of an Env
    network: Annotated[str | None, arg(metavar="module:function")] = None
    study: str | None = None  # count sessions of this study only; by default of the one that most of them are of
    exclude: tuple[str, ...] = ()  # ids of participants who are not to count
    unfinished: bool = False  # count the tasks that were finished by participants who were not
    repetitions: int = 50  # episodes that agents play of each task, for each number of trials
    seed: int = 0  # decides directions and chance of the agents
    output: Path = Path("runs/study-report")  # folder for what is written
    best_returns: Path = BEST_RETURNS_FOLDER  # folder where the expert's best returns are kept

    def run(self) -> int:
        """Reads, plays and reports."""
        import rich

        from xworld.apps.study.report import ReportConfig, make_report, people_table

        config = ReportConfig(
            agents=self.agents,
            network=self.network,
            study=self.study,
            exclude=self.exclude,
            unfinished=self.unfinished,
            num_repetitions=self.repetitions,
            seed=self.seed,
        )
        content = make_report(self.folders, config, self.output, self.best_returns)
        for left_out in content["study"]["left_out"]:
            print(f"Left out: {left_out['folder']}: {left_out['reason']}")
        rich.print(people_table(content))
        print(f"Wrote report.html, scores.json, scores.csv, people.png and trials.png to {self.output}")
        return 0


@dataclass
class StudyShow:
    """Print the file of a study that comes with xworld, to make one's own from it."""

    study: Annotated[Positional[str | None], arg(metavar="STUDY")] = None  # its name; all names without it

    def run(self) -> int:
        """Prints."""
        from xworld.apps.study import study_names, study_text

        print("\n".join(study_names()) if self.study is None else study_text(self.study).rstrip())
        return 0


@dataclass
class Study:
    """Let people play tasks under the conditions of agents, and compare them."""

    command: OmitSubcommandPrefixes[
        Annotated[StudyRun, subcommand("run")]
        | Annotated[StudyReport, subcommand("report")]
        | Annotated[StudyShow, subcommand("show")]
    ]

    def run(self) -> int:
        """Runs the chosen one."""
        return self.command.run()
