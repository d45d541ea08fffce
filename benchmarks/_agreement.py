"""Whether two builds of the same features say the same."""

from pathlib import Path
from typing import Final

import duckdb

__all__ = ["disagreements"]

TOLERANCE: Final = 1e-9
_SAMPLE: Final = 50


def disagreements(left: Path, right: Path, one_of: int = _SAMPLE) -> dict[str, int]:
    """Return how many moments of a sample differ, by feature; ``rows`` where one side lacks some.

    A value equals another within 1e-9 of the larger of it and 1; unknown equals unknown. The
    sample is one user in so many.
    """
    with duckdb.connect() as connection:
        connection.execute(
            "SET threads = 2; SET memory_limit = '4GB'; SET enable_progress_bar = false"
        )
        described = connection.execute(f"DESCRIBE FROM '{right}'").fetchall()
        names = [name for name, kind, *_ in described if kind in ("DOUBLE", "FLOAT")]
        for side, path in (("a", left), ("b", right)):
            # As a table first: Parquet's statistics leave out what is not a number, and DuckDB
            # trusts them.
            connection.execute(
                f"CREATE TABLE {side}_found AS SELECT user_id, brand_id, as_of, {', '.join(names)} "
                f"FROM '{path}' WHERE hash(user_id) % {one_of} = 0"
            )
            values = ", ".join(f"if(isnan({n}), NULL, {n}) AS {n}" for n in names)
            connection.execute(
                f"CREATE VIEW {side} AS SELECT user_id, brand_id, as_of, {values} FROM {side}_found"
            )
        differ = ", ".join(
            f"count(*) FILTER (WHERE a.{n} IS DISTINCT FROM b.{n} AND coalesce("
            f"abs(a.{n} - b.{n}) > {TOLERANCE} * greatest(1, abs(a.{n})), true)) AS {n}"
            for n in names
        )
        sizes = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            for table in ("a", "b", "a JOIN b USING (user_id, brand_id, as_of)")
        ]
        found = connection.execute(
            f"SELECT {differ} FROM a JOIN b USING (user_id, brand_id, as_of)"
        ).fetchone()
    missing = max(size[0] for size in sizes) - min(size[0] for size in sizes)
    counts = {"rows": int(missing), **dict(zip(names, map(int, found or ()), strict=True))}
    return {name: count for name, count in counts.items() if count}
