"""Brands: their categories and decision cycles, from a table, else from the events."""

import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.brands import Brands, TableSettings, read_brands
from features.engine import open_engine
from features.errors import EventLogError
from features.events import EventsSettings, read_events
from tests.engines import SETTINGS

EVENTS = """user_id,brand_id,kind,occurred_at,category_id
u1,b1,search,2025-01-01,tea
u1,b1,search,2025-01-01,tea
u1,b1,search,2025-01-01,coffee
u1,b2,search,2025-01-01,tea
u1,b2,search,2025-01-01,coffee
u1,b2,search,2025-01-01,
u1,b2,search,2025-01-01,
u1,b2,search,2025-01-01,
u1,b3,search,2025-01-01,
u1,,search,2025-01-01,milk
"""


@pytest.fixture
def brands(tmp_path):
    (tmp_path / "log.csv").write_text(EVENTS)

    def of_table(text=None):
        path = None
        if text is not None:
            path = "brands.csv"
            (tmp_path / path).write_text(text)
        return brands_of(tmp_path, path)

    return of_table


@pytest.fixture
def parquet(tmp_path):
    def of_table(**columns):
        (tmp_path / "log.csv").write_text(EVENTS)
        pq.write_table(pa.table(columns), tmp_path / "brands.parquet")
        return brands_of(tmp_path, "brands.parquet")

    return of_table


def brands_of(folder, path):
    with open_engine(SETTINGS, "UTC") as engine:
        log = read_events(engine, EventsSettings(path="log.csv"), folder)
        return read_brands(engine, log.table, TableSettings(path=path), folder, 30)


def test_a_brands_category_is_its_most_frequent_one_and_the_smallest_of_equals(brands):
    found = brands()
    assert found.category() == {"b1": "tea", "b2": "coffee", "b3": None}
    assert found.cycle() == {"b1": 30, "b2": 30, "b3": 30}


def test_a_category_that_changes_is_the_most_frequent_one_before_the_moment(tmp_path):
    lines = [("tea", 1), ("coffee", 2), ("coffee", 3), ("tea", 4), ("tea", 5), ("", 6), ("", 7)]
    text = "".join(f"u1,b1,search,2025-01-0{day},{category}\n" for category, day in lines)
    (tmp_path / "log.csv").write_text(EVENTS.splitlines()[0] + "\n" + text)
    new_year, day = 1_735_689_600_000_000, 86_400_000_000
    with open_engine(SETTINGS, "UTC") as engine:
        log = read_events(engine, EventsSettings(path="log.csv"), tmp_path)
        found = [
            read_brands(
                engine, log.before(new_year + days * day).table, TableSettings(), tmp_path, 30
            ).category()
            for days in (0, 1, 2, 3, 4, 5, 7)
        ]
    assert [of.get("b1") for of in found] == [
        None, "tea", "coffee", "coffee", "coffee", "tea", "tea",
    ]  # fmt: skip


def test_the_table_says_category_and_cycle_where_it_knows_them(brands):
    found = brands("brand_id,category_id,decision_cycle_days\nb1,milk,5\nb2,,70\nb3,tea,\n")
    assert found.category() == {"b1": "milk", "b2": "coffee", "b3": "tea"}
    assert found.cycle() == {"b1": 5, "b2": 70, "b3": 30}


def test_brands_come_back_from_their_data(brands):
    found = brands()
    assert Brands.from_data(found.as_data()) == found
    assert found.as_table().column_names == ["brand_id", "brand_category", "decision_cycle_days"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("brand,category_id\nb1,tea\n", "has no column 'brand_id' (it has: brand, category_id)."),
        ("brand_id\nb1\nb1\n", "brand 'b1' stands twice."),
        (
            "brand_id,decision_cycle_days\nb1,0\n",
            "brand 'b1': decision_cycle_days = 0; it must be whole days from 1 to 365, or empty.",
        ),
        ("brand_id,decision_cycle_days\nb1,366\n", "decision_cycle_days = 366"),
        ("brand_id,decision_cycle_days\nb1,7.5\n", "decision_cycle_days = 7.5"),
        (
            "brand_id,category_id\nb1,tea\n,coffee\n",
            "brands.csv, line 3: a brand without brand_id; name it, or take out its line.",
        ),
        ("", "brands.csv is empty; its first line must be the names of the columns."),
        ("brand_id\nb1\nb2,tea\n", "line 3 cannot be read: it has 2 fields where the header has"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(brands, text, says):
    with pytest.raises(EventLogError) as caught:
        brands(text)
    assert str(caught.value).startswith("[brands] path: ")
    assert says in str(caught.value)


@pytest.mark.parametrize("cycle", ["nan", "inf", "soon"])
def test_a_cycle_that_is_no_number_is_refused(brands, cycle):
    with pytest.raises(EventLogError, match="whole days from 1 to 365"):
        brands(f"brand_id,decision_cycle_days\nb1,{cycle}\n")


def test_a_brand_that_only_the_table_knows_has_its_category_and_cycle(brands):
    found = brands("brand_id,category_id,decision_cycle_days\nnew,tea,70\na new one,,\n")
    assert found.brand_ids == ("a new one", "b1", "b2", "b3", "new")
    assert found.category()["new"] == "tea"
    assert found.cycle()["new"] == 70
    assert found.category()["a new one"] is None
    assert found.cycle()["a new one"] == 30


@pytest.mark.parametrize("table", [
    {"brand_id": [1.0, None]}, {"brand_id": ["b1", "b2"], "category_id": [1.0, None]},
])  # fmt: skip
def test_ids_with_a_point_are_refused_in_the_table_too(parquet, table):
    with pytest.raises(EventLogError, match="numbers with a point"):
        parquet(**table)


def test_a_number_that_is_none_is_no_cycle_and_infinity_is_refused(parquet):
    found = parquet(brand_id=["b1", "b2"], decision_cycle_days=[math.nan, 7.0])
    assert found.cycle() == {"b1": 30, "b2": 7, "b3": 30}
    with pytest.raises(EventLogError, match="decision_cycle_days = inf; it must be whole days"):
        parquet(brand_id=["b1"], decision_cycle_days=[math.inf])


def test_ids_and_categories_may_be_whole_numbers(parquet):
    found = parquet(brand_id=[1, 2], category_id=[7, None])
    assert found.category() == {"1": "7", "2": None, "b1": "tea", "b2": "coffee", "b3": None}
