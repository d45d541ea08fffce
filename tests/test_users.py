"""Users' attributes: read as they are, learnt from before T, seen only from before a moment."""

import json
import math
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.attributes import (
    MOST_LEVELS,
    Attribute,
    Attributes,
    learn_attributes,
    with_attributes,
)
from features.brands import TableSettings
from features.engine import open_engine
from features.errors import EventLogError
from features.users import MOST_ATTRIBUTES, attribute_column, read_users
from tests.engines import SETTINGS
from tests.random_logs import DAY, START

ZONE = "Asia/Shanghai"
NAN = math.nan
LATER = START + 10_000 * DAY


@pytest.fixture(scope="module")
def engine():
    with open_engine(SETTINGS, ZONE) as opened:
        yield opened


@pytest.fixture
def read(engine, tmp_path):
    """Read a table of columns from Parquet, or a text from CSV."""

    def of(text=None, **columns):
        if text is not None:
            (tmp_path / "users.csv").write_text(text, encoding="utf-8")
        else:
            pq.write_table(pa.table(columns), tmp_path / "users.parquet")
        path = "users.parquet" if text is None else "users.csv"
        return read_users(engine, TableSettings(path=path), tmp_path)

    return of


def rows(users):
    """The rows by user and time, as a dictionary of each."""
    listed = users.table.order_by("user_id", "valid_from").to_pyarrow().to_pylist()
    return [{key: row[key] for key in ("user_id", "valid_from", *users.kinds)} for row in listed]


def values(engine, users, attributes, moments):
    """The attributes' columns at moments (user, as_of), in the order of the moments."""
    user_ids, as_of = zip(*moments, strict=True)
    asked = pa.table({"user_id": pa.array(user_ids, pa.string()), "as_of": pa.array(as_of),
                      "row": np.arange(len(moments))})  # fmt: skip
    found = with_attributes(engine, engine.load(asked), users, attributes)
    assert list(found.columns) == ["user_id", "as_of", "row", *attributes.columns]
    table = found.order_by("row").to_pyarrow()
    assert table["row"].to_pylist() == list(range(len(moments)))
    return {column: table[column].combine_chunks().to_numpy() for column in attributes.columns}


def code(attribute, value):
    if attribute.levels is None:
        return NAN if value is None else value
    return float(attribute.levels.index(value)) if value in attribute.levels else NAN


def slow_values(listed, attributes, moments):
    """A twin in plain Python: the last row of the user before the moment, looked at by name."""
    found = {column: [] for column in attributes.columns}
    for user, as_of in moments:
        own = [
            (-math.inf if row["valid_from"] is None else row["valid_from"], row)
            for row in listed
            if row["user_id"] == user
        ]
        seen = [pair for pair in own if pair[0] < as_of]
        last = max(seen, key=lambda pair: pair[0])[1] if seen else {}
        for attribute in attributes.attributes:
            found[attribute.column].append(code(attribute, last.get(attribute.column)))
    return found


def random_users(seed, *, timed):
    """Columns with unknown values, rare texts, rows of one user at several times, and none."""
    rng = np.random.default_rng(seed)
    drawn = pd.DataFrame(
        {
            "user_id": [f"u{i}" for i in rng.integers(0, 30, 80)],
            "valid_from": START + rng.integers(0, 12, 80) * DAY,
        }
    )
    drawn.loc[rng.random(80) < 0.2, "valid_from"] = np.nan
    if not timed:
        drawn = drawn.drop(columns="valid_from").drop_duplicates()
    drawn = drawn.drop_duplicates(ignore_index=True)
    n = len(drawn)
    drawn["grade"] = rng.choice([1.0, 2.5, -3.0, NAN, math.inf], n)
    drawn["city"] = rng.choice(["x", "y", "z", "", "käse's"], n)
    drawn["red_card"] = rng.random(n) < 0.5
    drawn["same"] = "same"
    columns = {name: pa.array(drawn[name].to_numpy()) for name in drawn}
    if timed:
        instants = pa.array(drawn.valid_from, pa.int64(), from_pandas=True)
        columns["valid_from"] = instants.cast(pa.timestamp("us", "UTC"))
    return columns


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_columns_are_those_of_a_slow_look_at_each_user(engine, read, seed, timed):
    users = read(**random_users(seed, timed=timed))
    attributes = learn_attributes(users, START + 6 * DAY)
    assert attributes.columns == ("user_city", "user_grade", "user_red_card")
    rng = np.random.default_rng(seed)
    edges = rng.integers(0, 13, 200) * DAY + rng.choice([-1, 0, 1], 200)
    moments = [
        (f"u{i}", int(START + e)) for i, e in zip(rng.integers(0, 35, 200), edges, strict=True)
    ]
    moments += moments[:5]
    found = values(engine, users, attributes, moments)
    for column, slow in slow_values(rows(users), attributes, moments).items():
        np.testing.assert_array_equal(found[column], slow)
        assert 0.1 < np.isnan(slow).mean() < 0.9


def test_a_row_holds_after_its_instant_and_not_at_it(engine, read):
    users = read(
        "user_id,valid_from,tier\nu1,,1\nu1,2025-01-02T00:00:00Z,2\nu1,2025-01-03T00:00:00Z,\n"
    )
    attributes = learn_attributes(users, LATER)
    at = [START + DAY + us for us in (-1, 0, 1)] + [START + 2 * DAY, START + 2 * DAY + 1]
    found = values(engine, users, attributes, [("u1", instant) for instant in at])
    np.testing.assert_array_equal(found["user_tier"], [1, 1, 2, 2, NAN])


def test_what_a_table_says_from_t_on_is_not_learnt(read):
    users = read(
        "user_id,valid_from,city,tier,club\n"
        "u1,2025-01-01T00:00:00Z,b,1,x\nu2,2025-01-01T23:59:59.999999Z,a,2,x\n"
        "u3,2025-01-02T00:00:00Z,c,9,y\n"
    )
    learnt = learn_attributes(users, START + DAY)
    assert learnt == Attributes(
        (Attribute("city", "user_city", ("a", "b")), Attribute("tier", "user_tier"))
    )
    assert learn_attributes(users, START) == Attributes()
    assert learn_attributes(None, START) == Attributes()


def test_what_has_one_value_throughout_or_none_is_left_out(read):
    users = read(user_id=["a", "b"], one=[7, 7], none=pa.array([None, None], pa.int64()),
                 some=[7, None], word=["x", "x"], maybe=["x", ""])  # fmt: skip
    assert learn_attributes(users, LATER).columns == ("user_maybe", "user_some")


def test_levels_stand_in_the_order_of_texts_so_that_a_natural_order_survives(engine, read):
    users = read(user_id=["a", "b", "c", "d"], age=["25-29", "18-24", "30+", "18-24"])
    attributes = learn_attributes(users, LATER)
    assert attributes.attributes[0].levels == ("18-24", "25-29", "30+")
    found = values(engine, users, attributes, [(user, LATER) for user in "dcbae"])
    np.testing.assert_array_equal(found["user_age"], [0, 2, 0, 1, NAN])


def test_only_the_most_frequent_texts_are_levels_and_the_smallest_of_equals(read):
    often = [f"c{i:03d}" for i in range(100, 0, -1)] * 2 + ["often"] * 3
    users = read(user_id=[f"u{i}" for i in range(len(often))], city=often)
    (city,) = learn_attributes(users, LATER).attributes
    assert city.levels == (*(f"c{i:03d}" for i in range(1, MOST_LEVELS)), "often")


def test_texts_that_are_each_of_one_user_do_not_come_into_a_release(read):
    people = [f"{i}@mail" for i in range(MOST_LEVELS + 1)]
    users = read(user_id=people, mail=people, tier=list(range(len(people))))
    assert learn_attributes(users, LATER).columns == ("user_tier",)


def test_a_text_that_is_no_level_an_empty_one_and_a_missing_user_are_unknown(engine, read):
    users = read(user_id=["a", "b", "c"], city=["x", "new", ""])
    attributes = Attributes((Attribute("city", "user_city", ("", "x")),))
    found = values(engine, users, attributes, [(user, LATER) for user in "abcd"])
    np.testing.assert_array_equal(found["user_city"], [1, NAN, NAN, NAN])


def test_an_attribute_that_the_table_lacks_or_holds_otherwise_is_unknown_and_said(engine, read):
    users = read(user_id=["a", "b"], city=["x", "y"], tier=["1", "2"])
    attributes = Attributes(
        (Attribute("City", "user_city", ("x", "y")), Attribute("gone", "user_gone"),
         Attribute("tier", "user_tier"))
    )  # fmt: skip
    found = values(engine, users, attributes, [("b", LATER)])
    np.testing.assert_array_equal([*found.values()], [[1], [NAN], [NAN]])
    assert attributes.missing_from(users.kinds) == (
        "the users' 'gone' is unknown to all forecasts: the release learnt it as a number, and "
        "the users table has no such column",
        "the users' 'tier' is unknown to all forecasts: the release learnt it as a number, and "
        "the users table has a text",
    )
    without = values(engine, None, attributes, [("b", LATER)])
    assert np.isnan([*without.values()]).all()


def test_without_attributes_moments_stay_as_they_are(engine):
    moments = engine.load(pa.table({"user_id": ["a"], "as_of": [1]}))
    assert with_attributes(engine, moments, None, Attributes()) is moments


def test_attributes_come_back_from_their_data_through_json(read):
    users = read(user_id=["a", "b"], city=["x", "y"], tier=[1, 2])
    attributes = learn_attributes(users, LATER)
    assert Attributes.from_data(json.loads(json.dumps(attributes.as_data()))) == attributes


def test_no_path_is_no_table(engine, tmp_path):
    assert read_users(engine, TableSettings(), tmp_path) is None


def test_parquet_columns_keep_their_types_and_truth_is_a_number(read):
    users = read(user_id=[7, 8], n=[1, None], x=[0.5, math.inf], yes=[True, None],
                 word=["a", ""], digits=["07", "8"], nothing=pa.nulls(2))  # fmt: skip
    assert users.kinds == {
        "user_digits": "text", "user_n": "number", "user_nothing": "text", "user_word": "text",
        "user_x": "number", "user_yes": "number",
    }  # fmt: skip
    assert rows(users) == [
        {"user_id": "7", "valid_from": None, "user_digits": "07", "user_n": 1.0,
         "user_nothing": None, "user_word": "a", "user_x": 0.5, "user_yes": 1.0},
        {"user_id": "8", "valid_from": None, "user_digits": "8", "user_n": None,
         "user_nothing": None, "user_word": None, "user_x": None, "user_yes": None},
    ]  # fmt: skip


def test_a_column_of_csv_is_numbers_or_truth_where_all_its_texts_are(read):
    users = read(
        "user_id,n,yes,word,odd,empty\n"
        "u1,1e1,true,a,1,\nu2, -2.5,False,12,nan,\nu3,inf,,true,1_0,\n"
    )
    assert [row | {"user_id": 0} for row in rows(users)] == [
        {"user_id": 0, "valid_from": None, "user_empty": None, "user_n": n, "user_odd": odd,
         "user_word": word, "user_yes": yes}
        for n, yes, word, odd in [(10.0, 1.0, "a", "1"), (-2.5, 0.0, "12", "nan"),
                                  (None, None, "true", "1_0")]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ([date(2025, 1, 2)], START + 16 * DAY // 24),
        (pa.array([START + DAY], pa.timestamp("us")), START + 16 * DAY // 24),
        (pa.array([START], pa.timestamp("us", "UTC")), START),
        (["2025-01-01T00:00:00.000001Z"], START + 1),
        (["2025-01-01T08:00:00+08:00"], START),
        (["2025-01-02"], START + 16 * DAY // 24),
        ([""], None),
        (pa.nulls(1), None),
    ],
)
def test_a_valid_from_is_an_instant_or_a_date_of_the_time_zone(read, column, expected):
    users = read(user_id=["a"], valid_from=column, tier=[1])
    assert rows(users)[0]["valid_from"] == expected
    assert users.timed == (expected is not None)


def test_that_attributes_without_a_time_hold_as_of_the_tables_writing_is_said(read):
    lasting = (
        "1 of 2 rows of users have no valid_from: what they say is taken to hold at every moment, "
        "as of the table's writing"
    )
    assert read("user_id,valid_from,tier\na,,1\nb,2025-01-01,2\n").said == (lasting,)
    assert read("user_id,valid_from,tier\nb,2025-01-01,2\n").said == ()


def test_columns_that_are_neither_numbers_nor_texts_are_passed_over_and_said(read):
    users = read(user_id=["a"], tags=[["x"]], born=[date(2000, 1, 1)], tier=[1])
    assert list(users.kinds) == ["user_tier"]
    assert [line.split(" holds ")[0] for line in users.said[:2]] == [
        "the users' column 'tags'", "the users' column 'born'"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("gender", "user_gender"), ("Age (years)", "user_age_years"), ("user_grade", "user_grade"),
        ("__x__", "user_x"), ("性别", "user_性别"), ("Größe 2", "user_größe_2"), ("%", "user_"),
    ],
)  # fmt: skip
def test_a_feature_is_named_after_its_column(name, column):
    assert attribute_column(name) == column


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("user,tier\nu1,1\n", "has no column 'user_id' (it has: user, tier)."),
        ("user_id,tier\nu1,1\n,2\n",
         "users.csv, line 3: a row without user_id; name the user, or take out the row."),
        ("user_id,tier\nu1,1\nu1,2\n",
         "users.csv, line 2: user 'u1' stands twice without valid_from; keep one of the rows, or "
         "say with valid_from since when each holds."),
        ("user_id,valid_from\nu1,2025-01-01\nu1,\nu1,2025-01-01T00:00:00+08:00\n",
         "user 'u1' stands twice with the same valid_from; keep one of the rows."),
        ("user_id,valid_from\nu1,\nu2,soon\n",
         "users.csv, line 3: valid_from = 'soon'; write a date, or an instant like"),
        ("user_id,Age,age!\nu1,1,2\n",
         "column 'age!' would be the feature 'user_age', as 'Age' is; rename or take out one"),
        ("user_id,id\nu1,1\n", "column 'id' would be the feature 'user_id', as 'user_id' is;"),
        ("user_id,%\nu1,1\n", "column '%' has no letter and no digit to name a feature by;"),
        ("user_id," + ",".join(f"a{i}" for i in range(MOST_ATTRIBUTES + 1)) + "\n",
         "has 101 attributes, and 100 are the most; leave out those"),
        ("user_id\nu1\nu2,tea\n", "line 3 cannot be read: it has 2 fields where the header has"),
        ("", "users.csv is empty"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_meant_is_refused(read, text, says):
    with pytest.raises(EventLogError) as caught:
        read(text)
    assert str(caught.value).startswith("[users] path: ")
    assert says in str(caught.value)


def test_a_time_that_is_a_number_and_an_id_with_a_point_are_refused(read):
    with pytest.raises(EventLogError, match="'valid_from' holds int64; write dates"):
        read(user_id=["a"], valid_from=[20250101])
    with pytest.raises(EventLogError, match="'user_id' holds numbers with a point"):
        read(user_id=[1.5])


def test_a_table_without_attributes_or_rows_makes_no_feature(read):
    assert learn_attributes(read("user_id\nu1\n"), LATER) == Attributes()
    assert learn_attributes(read("user_id,tier\n"), LATER) == Attributes()
