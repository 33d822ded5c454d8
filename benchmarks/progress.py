"""Progress on a terminal while a run takes its time; in a file only a line for each part."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)


@contextmanager
def progress_bar(notes: Console, title: str, total_s: float) -> Iterator[Callable[[float], None]]:
    """A bar of ``total_s`` seconds; what it gives takes the seconds that have passed."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    shown = notes.is_terminal
    if not shown:
        notes.print(title, markup=False)
    with Progress(*columns, console=notes, disable=not shown, transient=True) as progress:
        task = progress.add_task(title, total=total_s)
        yield lambda at_s: progress.update(task, completed=max(0.0, min(at_s, total_s)))


@dataclass(frozen=True, slots=True)
class Steps:
    """Tells what is being done, and that one step more is over."""

    tell: Callable[[str], None]
    over: Callable[[], None]


@contextmanager
def step_bar(notes: Console, total: int) -> Iterator[Steps]:
    """A bar of ``total`` steps, with what is being done beside it."""
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    shown = notes.is_terminal
    with Progress(*columns, console=notes, disable=not shown, transient=True) as progress:
        task = progress.add_task("", total=total)

        def tell(doing: str) -> None:
            if shown:
                progress.update(task, description=doing)
            else:
                notes.print(doing, markup=False)

        yield Steps(tell, lambda: progress.advance(task))


@contextmanager
def waiting(notes: Console, title: str) -> Iterator[None]:
    """Something that takes as long as it takes."""
    if notes.is_terminal:
        with notes.status(title):
            yield
    else:
        notes.print(title, markup=False)
        yield
