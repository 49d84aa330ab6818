"""The progress bar of long work."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


@contextmanager
def progress_bar(total: int | None, is_shown: bool) -> Iterator[Callable[..., None]]:
    """A function that advances the bar, `advance(amount, line="")`; a line stays until the next.

    Without a total it shows that something is going on.
    """
    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, disable=not is_shown) as progress:
        bar = progress.add_task("", total=total)

        def advance(amount: int, line: str | None = None) -> None:
            progress.update(bar, advance=amount, description=line)

        yield advance
