"""Engines: what every one of them can do, and how one is opened.

An engine reads tables, checks, samples, joins and sorts; Ibis expressions say what. What then has
to be computed user by user streams through `Engine.map_users`.
"""

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self, TypeAlias

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from features.errors import ConfigError

if TYPE_CHECKING:
    from features.duckdb_engine import DuckDBEngine
    from features.spans import Within

__all__ = ["STREAM_ROWS", "Engine", "EngineSettings", "UserWork", "open_engine"]

UserWork: TypeAlias = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
"""From streams of rows that hold whole users, in order, to streams of results."""

STREAM_ROWS: Final = 100_000
"""How many rows, at most, are a batch of a stream."""


class EngineSettings(BaseModel):
    """The section `[engine]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["duckdb", "spark"] = "duckdb"
    threads: int = Field(default=2, ge=1, le=256)
    memory_gb: float = Field(default=3.0, ge=0.5)


class Engine(ABC):
    """Where Ibis expressions run.

    Attributes
    ----------
    con : the Ibis backend.
    reader : the DuckDB that opens sources (itself, where the engine is DuckDB). An expression
        over a source says what is wanted of its rows, with the functions of the reader; `adopt`
        or `keep` bring it to the engine.
    time_zone : instants without a zone are read in it, and local days are its days.
    errors : what the engine raises of sources that cannot be read.
    threads : how many of them the work of one stream may use.
    """

    errors: ClassVar[tuple[type[Exception], ...]]
    con: Any
    reader: "DuckDBEngine"
    time_zone: str
    threads: int

    @abstractmethod
    def adopt(self, expression: Any) -> Any:
        """Return an expression over a source as one of the engine, not computed yet."""

    @abstractmethod
    def keep(self, expression: Any, name: str = "kept") -> Any:
        """Compute the expression once and return it as a table of the engine."""

    @abstractmethod
    def load(self, rows: pa.Table, name: str = "loaded") -> Any:
        """Return rows of memory as a table of the engine."""

    @abstractmethod
    def drop(self, *tables: Any) -> None:
        """Forget tables that `keep` returned."""

    @abstractmethod
    def catalogue_table(self, name: str, within: "Within | None" = None) -> Any:
        """Return a table of the engine's own catalogue as a source; rows beyond a span may lack.

        Raises
        ------
        EventLogError
            Where it has none of this name, or no catalogue.
        """

    @abstractmethod
    def batches(self, expression: Any, rows: int = STREAM_ROWS) -> Iterator[pa.RecordBatch]:
        """Yield the expression's rows in batches of at most `rows`, in its order."""

    @abstractmethod
    def map_users(
        self, rows: Any, work: UserWork, schema: pa.Schema, order: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        """Send the rows through `work`, user by user, and yield what comes of them in that order.

        Parameters
        ----------
        work : gets the rows sorted; a stream holds all rows of its users. It must be picklable.
        schema : of the batches that `work` yields.
        order : the columns to sort by, unknown ones last; the first is ``user_id``.
        """

    @staticmethod
    @abstractmethod
    def micros(instant: Any) -> Any:
        """Return an instant column as microseconds since 1970 in UTC."""

    @staticmethod
    @abstractmethod
    def instant(micros: Any) -> Any:
        """Return microseconds since 1970 as an instant column."""

    @staticmethod
    @abstractmethod
    def local_day(instant: Any) -> Any:
        """Return the number of the local day (days since 1970-01-01 on the wall clock)."""

    @staticmethod
    @abstractmethod
    def text_hash(text: Any) -> Any:
        """Return a number of 31 bits that depends on the text alone, everywhere and always."""

    @abstractmethod
    def close(self) -> None:
        """Forget all tables, and close what was opened."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def open_engine(settings: EngineSettings, time_zone: str) -> Iterator[Engine]:
    """Open an engine whose scratch folder goes when it closes."""
    scratch = Path(tempfile.mkdtemp(prefix="stagecast-"))
    try:
        with _engine(settings, time_zone, scratch) as engine:
            yield engine
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _engine(settings: EngineSettings, time_zone: str, scratch: Path) -> Engine:
    # Spark takes seconds to import and may not be installed.
    if settings.name == "spark":
        try:
            from features.spark_engine import SparkEngine
        except ImportError as error:
            raise ConfigError(
                f'[engine] name = "spark": {error.name} is missing; install the extra "spark".'
            ) from error
        return SparkEngine(settings, time_zone, scratch)
    from features.duckdb_engine import DuckDBEngine

    return DuckDBEngine(settings, time_zone, scratch)
