"""The command `xworld`. Heavy imports happen inside the commands, so that small ones answer at once."""

import contextlib
import io
import itertools
import os
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Protocol

import tyro
from tyro.conf import CascadeSubcommandArgs, subcommand

from xworld.apps.commands.evaluate import Evaluate
from xworld.apps.commands.lab import Lab
from xworld.apps.commands.play import Play
from xworld.apps.commands.render import Render
from xworld.apps.commands.scoreboard import Scoreboard
from xworld.apps.commands.study import Study
from xworld.apps.commands.tasks import Tasks
from xworld.apps.commands.train import Finetune, train_command
from xworld.apps.doctor import Doctor
from xworld.apps.examining.crossing import CrossPlaying
from xworld.apps.examining.inspection import Inspect
from xworld.apps.exchange.commands import Export, Import
from xworld.apps.imitating import Imitate
from xworld.apps.recording import Record
from xworld.base.errors import INTERRUPTED, ConfigError
from xworld.base.files import reason_of

NOBODY_READS = 141  # as of a process that SIGPIPE has ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit status.

    That is 0, 1 when training diverged or a check failed, 2 for input that cannot be meant, 130 when interrupted, and
    141 when nobody reads what is printed.
    """
    arguments = [_expand(argument) for argument in (sys.argv[1:] if arguments is None else arguments)]
    try:
        try:
            return _parse(arguments).run()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except ConfigError as error:
        print(f"xworld: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # as by `| head`
        _forget_output()
        return NOBODY_READS
    except OSError as error:  # such as a disk that is full where it is printed to
        print(f"xworld: {error.filename or 'the system says'}: {reason_of(error)}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("xworld: interrupted", file=sys.stderr)
        return INTERRUPTED


class Command(Protocol):
    """What the command line is parsed into."""

    def run(self) -> int:
        """Does it; returns the exit status."""
        ...


def _expand(argument: str) -> str:
    """With a home folder in the place of `~`, also in `--option=~/x`, which shells leave as it is."""
    option, sign, value = argument.partition("=")
    if sign and option.startswith("-"):
        return f"{option}={os.path.expanduser(value)}"
    return os.path.expanduser(argument)


def _forget_output() -> None:
    """Nothing more is printed, not by Python at its end either."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parse(arguments: list[str]) -> Command:
    """The command that the arguments mean. What tyro has against them becomes a `ConfigError` of one line."""
    commands: Any = (
        Annotated[train_command(arguments), subcommand("train")]
        | Annotated[Finetune, subcommand("finetune")]
        | Annotated[Evaluate, subcommand("evaluate")]
        | Annotated[CrossPlaying, subcommand("cross-play")]
        | Annotated[Inspect, subcommand("inspect")]
        | Annotated[Record, subcommand("record")]
        | Annotated[Export, subcommand("export")]
        | Annotated[Import, subcommand("import")]
        | Annotated[Imitate, subcommand("imitate")]
        | Annotated[Lab, subcommand("lab")]
        | Annotated[Scoreboard, subcommand("scoreboard")]
        | Annotated[Play, subcommand("play")]
        | Annotated[Study, subcommand("study")]
        | Annotated[Render, subcommand("render")]
        | Annotated[Tasks, subcommand("tasks")]
        | Annotated[Doctor, subcommand("doctor")]
    )
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(commands, prog="xworld", args=arguments, config=(CascadeSubcommandArgs,))
    except SystemExit as stop:
        if not stop.code:  # help was asked for, and given
            raise
        raise ConfigError(_one_line(complaint.getvalue())) from stop


def _one_line(box: str) -> str:
    """The words in tyro's box of complaints, a sentence for each part of it, without its colours and its frame."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", box)
    lines = [re.sub(r"^\s*[|+│╭╰]|[|+│╮╯]\s*$|[─━]|-{4,}", " ", line).strip() for line in plain.splitlines()[1:]]
    parts = [" ".join(part).rstrip(".") for is_said, part in itertools.groupby(lines, bool) if is_said]
    line = re.sub(r"Error parsing __tyro-dummy-inner__\S*: ", "", ". ".join(parts))  # tyro's name for no argument
    words, _, pointer = line.partition(". For full helptext, ")
    return f"{words}. See {pointer.partition(' ')[2] or 'xworld --help'}."
