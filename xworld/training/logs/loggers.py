"""Where else the rows of metrics go: TensorBoard, or Weights & Biases."""

import importlib.util
import math
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from xworld.base.configs import as_dict
from xworld.base.errors import ConfigError, did_you_mean
from xworld.base.files import read_text, write_atomically
from xworld.training.logs.metrics import Row
from xworld.training.run.config import RunConfig


class Logger(Protocol):
    """Gets every row of metrics, as a run goes on."""

    def write(self, row: Row) -> None:
        """One row, with a value for each of the run's columns; NaN where there is nothing to report."""
        ...

    def close(self) -> None:
        """The run is over, or stopped."""
        ...


class TensorBoard:
    """Event files in the run's folder, for `tensorboard --logdir`."""

    def __init__(self, folder: Path, config: RunConfig):
        """Writes into `folder/tensorboard`."""
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard"))

    def write(self, row: Row) -> None:
        """Scalars against environment steps."""
        for name, value in _values(row).items():
            self._writer.add_scalar(name, value, int(row["steps"]))

    def close(self) -> None:
        """Writes what is left."""
        self._writer.close()


class WandB:
    """A run of Weights & Biases, called as the folder is; its id is in the folder's `wandb-id`.

    `WANDB_MODE=offline` keeps it on this machine.
    """

    def __init__(self, folder: Path, config: RunConfig):
        """Goes on with the run of this folder if there was one."""
        import wandb

        id_file = folder / "wandb-id"
        if not id_file.exists():
            write_atomically(id_file, uuid.uuid4().hex.encode())
        self._run = wandb.init(
            project="xworld",
            name=folder.absolute().name,
            id=read_text(id_file).strip(),
            dir=str(folder),
            config=as_dict(config),
            resume="allow",
        )

    def write(self, row: Row) -> None:
        """A step for each row."""
        self._run.log(_values(row), step=int(row["steps"]))

    def close(self) -> None:
        """Sends what is left."""
        self._run.finish()


# By name: the package that is needed, and what opens the logger.
_LOGGERS: dict[str, tuple[str, Callable[[Path, RunConfig], Logger]]] = {
    "tensorboard": ("tensorboardX", TensorBoard),
    "wandb": ("wandb", WandB),
}
LOGGERS = tuple(_LOGGERS)


def check_loggers(loggers: Sequence[str | Logger]) -> None:
    """Makes sure that loggers can be opened, before anything is done.

    Raises:
      ConfigError: there is none of that name, or its package is not installed.
    """
    for name in (logger for logger in loggers if isinstance(logger, str)):
        if name not in _LOGGERS:
            raise ConfigError(f"No logger is called {name!r}. {did_you_mean(name, LOGGERS)}")
        package, _ = _LOGGERS[name]
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"Logging to {name} needs the package {package}: pip install 'xworld[{name}]'.")


@contextmanager
def open_loggers(loggers: Sequence[str | Logger], folder: Path, config: RunConfig) -> Iterator[list[Logger]]:
    """The loggers, those of a name made for the run in `folder`; all are closed in the end."""
    with ExitStack() as stack:
        opened = []
        for logger in loggers:
            opened.append(_LOGGERS[logger][1](folder, config) if isinstance(logger, str) else logger)
            stack.callback(opened[-1].close)
        yield opened


def _values(row: Row) -> Row:
    """What there is to report."""
    return {name: value for name, value in row.items() if not math.isnan(value)}
