"""What commands print: sentences and tables for people, one JSON object for programs."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["Terminal"]


class Terminal:
    """The two faces of a command's output.

    Parameters
    ----------
    as_json : print nothing for people; `result` prints one line of JSON.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        # In a file or a pipe nothing is folded.
        width = None if sys.stdout.isatty() else 140
        self._out = Console(file=sys.stdout, highlight=False, width=width)
        self._err = Console(file=sys.stderr, highlight=False)

    @contextmanager
    def progress(self, start: str) -> Iterator[Callable[[str], None]]:
        """Show what is being done, on a terminal; be quiet elsewhere."""
        if not self._err.is_terminal:
            yield lambda _: None
            return
        with self._err.status(start) as status:
            yield status.update

    def say(self, *sentences: str) -> None:
        """Print sentences for people."""
        for sentence in sentences if not self.as_json else ():
            self._out.print(sentence, markup=False, soft_wrap=not self._out.is_terminal)

    def note(self, sentences: Sequence[str]) -> None:
        """Print what was handled on the way, to standard error."""
        for sentence in sentences:
            self._err.print(f"note: {sentence}", markup=False)

    def secret(self, text: str) -> None:
        """Print what is shown once, alone in its line and never folded."""
        if not self.as_json:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    def table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], left: int = 1
    ) -> None:
        """Print a table; columns after the first `left` are numbers, to the right."""
        if self.as_json:
            return
        table = Table(
            title=title or None,
            title_justify="left",
            title_style="bold",
            box=None,
            pad_edge=False,
            padding=(0, 2, 0, 0),
        )
        for index, column in enumerate(columns):
            table.add_column(column, justify="left" if index < left else "right")
        for row in rows:
            table.add_row(*(str(cell) for cell in row))
        self._out.print(table)

    def result(self, data: Mapping[str, Any]) -> None:
        """Print the JSON object, where it was asked for."""
        if self.as_json:
            sys.stdout.write(json.dumps(data, ensure_ascii=False, default=str) + "\n")
            sys.stdout.flush()
