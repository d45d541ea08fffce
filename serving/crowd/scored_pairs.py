"""Scored pairs: a scored file opened by DuckDB, with what is known of its users and brands."""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from features.brands import Brands, read_brands
from features.dataset import Dataset
from features.duckdb_engine import DuckDBEngine
from features.engine import STREAM_ROWS, open_engine
from features.errors import ConfigError
from features.users import UserTable, read_users
from serving.crowd.scored import ScoredFile

__all__ = ["ScoredPairs", "open_scored"]

_NO_EVENTS: Final = pa.table(
    {name: pa.array([], pa.string()) for name in ("brand_id", "category_id")}
)


_USERS: Final = pa.schema([("user", pa.string())])


@dataclass(frozen=True)
class ScoredPairs:
    """The pairs of a scored file as tables of DuckDB; threads may share it.

    ``scored`` has the file's columns, the ids as texts ``user`` and ``brand``, and the brand's
    ``category_id``, null where it has none; no user who opted out is in it. ``everybody`` is the
    same without the category and with those who opted out, to count them. The file is not held in
    memory: each question reads the columns that it needs.
    """

    file: ScoredFile
    engine: DuckDBEngine
    dataset: Dataset
    brands: Brands

    def ask(self, sql: str, tables: dict[str, pa.Table] | None = None, **values: Any) -> Any:
        """Return DuckDB's answer to a question.

        Parameters
        ----------
        tables : of memory, by the names that the question has for them.
        values : by the names that follow a ``$`` in it.
        """
        con = self.engine.con.con.cursor()
        for name, table in (tables or {}).items():
            con.register(name, table)
        return con.execute(sql, values)

    def stream(self, sql: str, tables: dict[str, pa.Table], **values: Any) -> Any:
        """Return the answer to a question as a reader of Arrow batches, computed as it is read."""
        con = self.engine.con.con.cursor()
        for name, table in tables.items():
            con.register(name, table)
        return con.sql(sql, params=values).to_arrow_reader(STREAM_ROWS)

    @cached_property
    def users(self) -> UserTable | None:
        """The users table, as it holds at the file's instant: ``described``, a row a user.

        None where the configuration names none.
        """
        found = read_users(self.engine, self.dataset.users, self.dataset.folder)
        if found is not None:
            rows = self.engine.con.compile(found.table)
            self.ask(
                f"""CREATE TABLE described AS SELECT * FROM ({rows})
                WHERE valid_from IS NULL OR valid_from < {self.file.as_of}
                QUALIFY row_number() OVER
                    (PARTITION BY user_id ORDER BY valid_from DESC NULLS LAST) = 1"""
            )
        return found

    @cached_property
    def brand_ids(self) -> tuple[str, ...]:
        """The brands that have a scored pair, in order."""
        rows = self.ask("SELECT DISTINCT brand FROM scored ORDER BY ALL").fetchall()
        return tuple(brand for (brand,) in rows)

    def check_brand(self, brand: str) -> None:
        """Refuse a brand without a scored pair, and name one that may have been meant."""
        known = self.ask("SELECT 1 FROM scored WHERE brand = $brand LIMIT 1", brand=brand)
        if not known.fetchall():
            close = difflib.get_close_matches(brand, self.brand_ids, 1) or self.brand_ids[:1]
            hint = f"; there is {close[0]!r}, for example" if close else ""
            raise ConfigError(f"--brand: {brand!r} has no pair in {self.file.path}{hint}.")


@contextmanager
def open_scored(
    file: ScoredFile, dataset: Dataset, brands: Brands | None, opted_out: frozenset[str]
) -> Iterator[ScoredPairs]:
    """Open a scored file without the users who opted out.

    Parameters
    ----------
    brands : of the release that scored; where left out, what the brands table says.
    """
    settings = dataset.engine.model_copy(update={"name": "duckdb"})
    with open_engine(settings, dataset.events.time_zone) as engine:
        if not isinstance(engine, DuckDBEngine):  # pragma: no cover
            raise ConfigError("[engine] name: scored files are read by DuckDB.")
        known = brands or _listed(engine, dataset)
        brand_rows = engine.load(known.as_table(), "brands").get_name()
        out = engine.load(pa.table({"user": sorted(opted_out)}, _USERS), "opted_out").get_name()
        engine.con.raw_sql(
            f"""CREATE VIEW everybody AS
            SELECT *, user_id::VARCHAR AS user, brand_id::VARCHAR AS brand FROM {file.sql}"""
        )
        engine.con.raw_sql(
            f"""CREATE VIEW scored AS SELECT everybody.*, b.brand_category AS category_id
            FROM everybody LEFT JOIN "{brand_rows}" AS b ON everybody.brand = b.brand_id
            ANTI JOIN "{out}" AS o ON everybody.user = o.user"""
        )
        yield ScoredPairs(file, engine, dataset, known)


def _listed(engine: DuckDBEngine, dataset: Dataset) -> Brands:
    nothing = engine.load(_NO_EVENTS)
    return read_brands(
        engine, nothing, dataset.brands, Path(dataset.folder), dataset.decision_cycle_days
    )
