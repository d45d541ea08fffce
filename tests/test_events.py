"""Reading the event log: what is refused, and in which words; what is handled, and what is said."""

import math
import tomllib
from datetime import UTC, date, datetime
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from features.engine import open_engine
from features.errors import EventLogError
from features.events import EventsSettings, log_end, read_events
from features.vocabulary import COLUMNS, KIND_CODE, KINDS
from tests.engines import SETTINGS

HEADER = "user_id,brand_id,kind,occurred_at\n"
GOOD = "u1,b1,search,2025-01-01 10:00:00Z\n"
WITH_VALUES = "user_id,brand_id,kind,occurred_at,value\n"
NEW_YEAR = 1_735_689_600_000_000  # 2025-01-01 in UTC
NAIVE = ("instants without a zone were read in [events] time_zone",)


@pytest.fixture
def csv(tmp_path):
    def write(text, name="log.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture
def parquet(tmp_path):
    def write(name="log.parquet", **columns):
        n = len(next(iter(columns.values()))) if columns else 1
        instants = pa.array([NEW_YEAR + i for i in range(n)], pa.timestamp("us", "UTC"))
        usual = {"user_id": ["u1"] * n, "brand_id": ["b1"] * n, "kind": ["search"] * n}
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(usual | {"occurred_at": instants} | columns), path)
        return path

    return write


def read(path, **settings):
    """The log, and its rows in the order of events."""
    settings = EventsSettings(path=path.name, **settings)
    with open_engine(SETTINGS, settings.time_zone) as engine:
        log = read_events(engine, settings, path.parent)
        rows = log.table.to_pyarrow().to_pandas()
    return log, rows.sort_values(["occurred_at", "kind"], ignore_index=True)


def refusal(path, **settings):
    with pytest.raises(EventLogError) as caught:
        read(path, **settings)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(f"{path.parent}/", "")


def instants_of(rows):
    return [datetime.fromtimestamp(at / 1e6, UTC) for at in rows.occurred_at]


# Refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            HEADER + GOOD + "u1,b1,read,2025-01-01\nu1,b1,zap,2025-01-01\nu1,b1,read,2025-01-01\n",
            "[events] kinds: unknown kind 'read' (2 events; also 'zap'), first in log.csv, line 3."
            ' Map it in [events] kinds (read = "note_read"), or drop it (read = false).',
        ),
        (
            HEADER + GOOD + "u1,b1,,2025-01-01\n",
            "[events] path: 1 events without a kind; the first: log.csv, line 3. Mend them, or "
            'drop them in [events] kinds ("" = false).',
        ),
        (
            HEADER + GOOD + ",b1,search,2025-01-01\n,b2,search,2025-01-01\n",
            "[events] path: 2 events without user_id; the first: log.csv, line 3. Mend or take out"
            " these lines.",
        ),
        (
            HEADER + GOOD + "u1,b1,search,soon\n",
            "[events] path: 1 events whose occurred_at is not an instant, such as 'soon': "
            "log.csv, line 3.",
        ),
        (
            HEADER + GOOD + "u1,b1,search,infinity\n",
            "[events] path: 1 events whose occurred_at is not an instant, such as 'infinity': "
            "log.csv, line 3.",
        ),
        (
            HEADER + GOOD + "u1,b1,search,\n",
            "[events] path: 1 events whose occurred_at is not an instant, such as None: "
            "log.csv, line 3.",
        ),
        (
            HEADER + "u1,b1,search,1735689600\n",
            "[events] path: 1 events whose occurred_at is not an instant, such as '1735689600': "
            "log.csv, line 2.",
        ),
        (
            WITH_VALUES + "u1,b1,purchase,2025-01-01,a lot\n",
            "[events] path: 1 events whose value is not an amount between -1e+09 and 1e+09, "
            "such as 'a lot': log.csv, line 2.",
        ),
        (
            WITH_VALUES + "u1,b1,purchase,2025-01-01,1e10\n",
            "[events] path: 1 events whose value is not an amount between -1e+09 and 1e+09, "
            "such as '1e10': log.csv, line 2.",
        ),
        (
            "user_id,brand_id,kind,when\nu1,b1,search,2025-01-01\n",
            "[events] columns: log.csv has no column 'occurred_at' for occurred_at (it has: "
            "user_id, brand_id, kind, when). Name it in [events] columns.",
        ),
        (
            HEADER,
            "[events] path: log.csv has columns and no events; nothing to learn.",
        ),
        (
            HEADER + GOOD * 2 + "u1,b1,search\n" + GOOD,
            "[events] path: log.csv, line 4 cannot be read: it has 3 fields where the header has "
            "4.",
        ),
        (
            HEADER + GOOD + "u1,b1,search,2025-01-01,and more\n",
            "[events] path: log.csv, line 3 cannot be read: it has 5 fields where the header has "
            "4.",
        ),
        (
            HEADER + GOOD + 'u1,"b1,search,2025-01-01\n' + GOOD * 2,
            "[events] path: log.csv, line 3 cannot be read: its quotes do not match.",
        ),
        (
            HEADER + GOOD + 'u1,"b"1",search,2025-01-01\n' + GOOD,
            "[events] path: log.csv, line 3 cannot be read: its quotes do not match.",
        ),
        (
            HEADER + GOOD + 'u1,"b1,search,2025-01-01\n' + GOOD * 9_000,
            "[events] path: log.csv, line 3 cannot be read: its quotes do not match.",
        ),
        (
            (HEADER + GOOD).encode("utf-16"),
            "[events] path: log.csv cannot be read: it is not UTF-8; save it as that.",
        ),
        (
            "",
            "[events] path: log.csv is empty; its first line must be the names of the columns.",
        ),
        (
            "\ufeff\n",
            "[events] path: log.csv is empty; its first line must be the names of the columns.",
        ),
        (
            "user_id,brand_id,kind,occurred_at,Kind\nu1,b1,search,2025-01-01,like\n",
            "[events] path: log.csv has two columns 'Kind' (capitals make no difference); "
            "rename or take out one of them.",
        ),
        (
            (HEADER + GOOD).encode() + b"u\xff,b1,search,2025-01-01\n",
            "[events] path: log.csv, line 3 cannot be read: Invalid unicode (byte sequence "
            "mismatch) detected. This file is not utf-8 encoded.",
        ),
    ],
)  # fmt: skip
def test_a_broken_log_is_refused_with_what_where_and_a_way_out(csv, text, says):
    assert refusal(csv(text)) == says


def test_a_broken_line_far_into_a_file_is_named_by_its_number(csv):
    path = csv(HEADER + GOOD * 30_000 + "u1,b1\n" + GOOD)
    assert refusal(path) == (
        "[events] path: log.csv, line 30002 cannot be read: it has 2 fields where the header has 4."
    )


def test_a_column_that_is_mapped_and_missing_is_named_with_its_key(csv):
    assert refusal(csv(HEADER + GOOD), columns={"occurred_at": "event_time"}) == (
        "[events] columns.occurred_at: log.csv has no column 'event_time' for occurred_at (it has:"
        " user_id, brand_id, kind, occurred_at). Name it in [events] columns."
    )
    assert "columns.value: log.csv has no column 'amount'" in refusal(
        csv(HEADER + GOOD), columns={"value": "amount"}
    )


def test_an_unknown_kind_is_named_also_where_others_have_none(csv):
    text = HEADER + "u1,b1,,2025-01-01\nu1,b1,zap,2025-01-01\n"
    assert "unknown kind 'zap'" in refusal(csv(text))


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_value_that_is_no_number_is_refused_with_its_line(csv, value):
    text = WITH_VALUES + f"u1,b1,purchase,2025-01-01,1\nu1,b1,purchase,2025-01-01,{value}\n"
    assert refusal(csv(text)) == (
        "[events] path: 1 events whose value is not an amount between -1e+09 and 1e+09, "
        f"such as '{value}': log.csv, line 3."
    )


def test_events_without_a_kind_are_named_beside_the_unknown_kind(csv):
    text = HEADER + "u1,b1,,2025-01-01\nu1,b1,zap,2025-01-01\n"
    assert "'zap' (1 events; also ''), first in log.csv, line 3." in refusal(csv(text))


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("zap-1", "zap-1"), ("my kind", '"my kind"'), ("note.read", '"note.read"'),
        ("'it'", '"\'it\'"'), ("点赞", '"点赞"'), ("", '""'),
    ],
)  # fmt: skip
def test_the_hint_for_an_unknown_kind_is_toml_that_works(parquet, kind, key):
    path = parquet(kind=[kind, "search"])
    assert f"({key} = false)." in refusal(path)
    _, rows = read(path, kinds=tomllib.loads(f"{key} = false"))
    assert [KINDS[code] for code in rows.kind] == ["search"]


def test_events_whose_kind_is_null_are_mapped_like_those_whose_kind_is_empty(parquet):
    _, rows = read(parquet(kind=[None, "", "search"]), kinds={"": "like"})
    assert [KINDS[code] for code in rows.kind] == ["like", "like", "search"]


def test_the_line_is_of_an_event_that_counts(csv):
    settings = {"kinds": {"zap": False}}
    log = csv(HEADER + "u1,b1,zap,soon\nu1,b1,search,soon\n")
    assert refusal(log, **settings).endswith("such as 'soon': log.csv, line 3.")
    log = csv(HEADER + ",b1,zap,2025-01-01\n,b1,search,2025-01-01\n")
    assert "the first: log.csv, line 3." in refusal(log, **settings)
    log = csv(WITH_VALUES + "u1,b1,like,2025-01-01,x\nu1,b1,purchase,2025-01-01,x\n")
    assert refusal(log).endswith("such as 'x': log.csv, line 3.")


def test_a_mark_at_the_beginning_hides_no_line(csv):
    log = csv("\ufeff" + HEADER + GOOD + ",b1,search,2025-01-01\n")
    assert "the first: log.csv, line 3." in refusal(log)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_refused_in_parquet_too(parquet, value):
    path = parquet(kind=["purchase", "refund"], value=pa.array([1.0, value]))
    assert refusal(path) == (
        "[events] path: 1 events whose value is not an amount between -1e+09 and 1e+09, "
        f"such as '{value}': log.parquet."
    )


def test_values_of_another_type_are_refused(parquet):
    assert refusal(parquet(kind=["purchase"], value=[[1.0]])) == (
        "[events] columns.value: 'value' holds array<float64>; amounts are numbers."
    )


@pytest.mark.parametrize(
    ("ids", "found"),
    [([True, False], "boolean"), ([["u"], ["v"]], "array<string>"), ([b"u", b"v"], "binary")],
)
@pytest.mark.parametrize("column", ["user_id", "brand_id", "category_id", "event_id"])
def test_ids_of_another_type_are_refused(parquet, column, ids, found):
    assert refusal(parquet(**{column: ids})) == (
        f"[events] columns.{column}: '{column}' holds {found}; ids are text or whole numbers. "
        "Write them as one of these."
    )


@pytest.mark.parametrize("column", ["user_id", "brand_id", "category_id", "event_id"])
def test_ids_with_a_point_are_refused(parquet, column):
    # Pandas makes whole numbers such where one of them is missing.
    assert refusal(parquet(**{column: [1.0, None]})) == (
        f"[events] columns.{column}: '{column}' holds numbers with a point; ids are text or whole "
        "numbers. Write them as one of these."
    )


@pytest.mark.parametrize("instants", [[1735689600], [1735689600.5]])
def test_instants_that_are_numbers_are_refused(parquet, instants):
    kind = "int64" if isinstance(instants[0], int) else "float64"
    assert refusal(parquet(occurred_at=instants)) == (
        f"[events] columns.occurred_at: 'occurred_at' holds {kind}; write instants as timestamps, "
        "or as text like 2025-01-31 18:30:00 or 2025-01-31T10:30:00Z."
    )


def test_an_event_without_an_instant_is_refused_in_parquet_too(parquet):
    instants = pa.array([NEW_YEAR, None], pa.timestamp("us", "UTC"))
    assert refusal(parquet(occurred_at=instants)) == (
        "[events] path: 1 events whose occurred_at is not an instant, such as None: log.parquet."
    )


def test_a_log_whose_kinds_are_all_dropped_is_refused(csv):
    assert refusal(csv(HEADER + GOOD), kinds={"search": False}) == (
        "[events] path: log.csv has no events left; [events] kinds drops all."
    )


def test_a_path_where_nothing_is_or_of_another_format_is_refused(csv, tmp_path):
    absent = tmp_path / "absent.parquet"
    assert refusal(absent) == "[events] path: absent.parquet does not exist."
    assert refusal(csv(HEADER + GOOD, "log.txt")) == (
        "[events] path: log.txt is neither .parquet nor .csv; take it out of there."
    )


@pytest.mark.parametrize("keep", [0, 3, 500])
def test_a_parquet_file_that_was_cut_off_is_refused(parquet, keep):
    path = parquet(user_id=[f"u{i}" for i in range(1000)])
    path.write_bytes(path.read_bytes()[:keep])
    assert (
        refusal(path) == "[events] path: log.parquet is not a Parquet file, or was cut off."
    )  # fmt: skip


def test_a_parquet_file_of_broken_bytes_is_refused(parquet):
    path = parquet(user_id=[f"u{i}" for i in range(1000)])
    content = path.read_bytes()
    path.write_bytes(content[:30] + bytes(100) + content[130:])
    assert refusal(path).startswith("[events] path: log.parquet cannot be read: ")


# Folders ------------------------------------------------------------------------------------


def test_a_folder_of_parquet_files_is_one_log(parquet, tmp_path):
    parquet("events/2025/a.parquet", user_id=["u1"])
    parquet("events/2026/b.parquet", user_id=["u2"], kind=["purchase"], value=[1.5])
    (tmp_path / "events" / "_SUCCESS").write_text("")
    (tmp_path / "events" / ".b.parquet.crc").write_text("")
    log, rows = read(tmp_path / "events")
    assert rows.user_id.tolist() == ["u1", "u2"]
    assert rows.value_micros.dropna().tolist() == [1_500_000]
    assert log.has_values


def test_a_folder_of_csv_files_is_one_log_whatever_the_order_of_columns(csv, tmp_path):
    csv(HEADER + GOOD, "events/a.csv")
    csv("brand_id,user_id,occurred_at,kind\nb2,u2,2025-01-02T00:00:00Z,like\n", "events/b.csv")
    _, rows = read(tmp_path / "events")
    assert rows[["user_id", "brand_id"]].to_numpy().tolist() == [["u1", "b1"], ["u2", "b2"]]
    csv(HEADER + GOOD + "u1,b1,zap,2025-01-01\n", "events/b.csv")
    assert "first in events/b.csv, line 3." in refusal(tmp_path / "events")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("README.md", "events/README.md is neither .parquet nor .csv; take it out of there."),
        ("b.parquet", "events/b.parquet is not a Parquet file, or was cut off."),
        ("b.csv", "events mixes Parquet and CSV; use one of them."),
    ],
)
def test_a_folder_with_a_file_that_is_no_parquet_is_refused(parquet, csv, tmp_path, name, says):
    parquet("events/a.parquet")
    csv("# Our events", f"events/{name}")
    assert refusal(tmp_path / "events") == f"[events] path: {says}"


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "events").mkdir()
    assert refusal(tmp_path / "events") == (
        "[events] path: the folder events holds no file; put Parquet or CSV there."
    )


@pytest.mark.parametrize("name", ["it's.csv", "事件 ü.csv", "a%20b.csv", "UPPER.CSV", "a;b.csv"])
def test_a_file_may_have_any_name(csv, name):
    _, rows = read(csv(HEADER + GOOD, name))
    assert len(rows) == 1


@pytest.mark.parametrize(("name", "other"), [("a[1].csv", "a1.csv"), ("a*.csv", "ab.csv")])
def test_a_name_is_no_pattern_that_reads_another_file(csv, name, other):
    csv(HEADER + GOOD * 7, other)
    _, rows = read(csv(HEADER + GOOD, name))
    assert len(rows) == 1


def test_a_folders_name_does_not_overwrite_a_column(csv, tmp_path):
    csv(HEADER + GOOD, "user_id=9/log.csv")
    _, rows = read(tmp_path / "user_id=9" / "log.csv")
    assert rows.user_id.tolist() == ["u1"]


def test_a_folders_name_adds_no_column(parquet, tmp_path):
    parquet("events/value=9/category_id=c/log.parquet", kind=["purchase"])
    log, rows = read(tmp_path / "events")
    assert rows.category_id.isna().all()
    assert not log.has_values


@pytest.mark.parametrize("name", ["logs[1]/a[b]*?.csv", "log's/{a,b}.csv", "~/log.csv"])
def test_a_folder_may_have_any_name_too(csv, tmp_path, name):
    csv(HEADER + GOOD, f"events/{name}")
    _, rows = read(tmp_path / "events")
    assert len(rows) == 1


# Instants and zones -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "hours"),
    [
        (pa.timestamp("s"), -8), (pa.timestamp("ms"), -8), (pa.timestamp("us"), -8),
        (pa.timestamp("ns"), -8), (pa.timestamp("ms", "UTC"), 0), (pa.timestamp("us", "UTC"), 0),
        (pa.timestamp("us", "America/New_York"), 0),
        (pa.timestamp("ns", "UTC"), 0), (pa.timestamp("ns", "America/New_York"), 0),
    ],
)  # fmt: skip
def test_instants_without_a_zone_are_read_in_the_logs_and_others_are_themselves(
    parquet, kind, hours
):
    instants = pa.array([datetime(2025, 1, 1, 12, tzinfo=UTC)]).cast(kind)
    log, rows = read(parquet(occurred_at=instants), time_zone="Asia/Shanghai")
    assert instants_of(rows) == [datetime(2025, 1, 1, 12 + hours, tzinfo=UTC)]
    assert log.said == (NAIVE if hours else ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-01-01 10:00:00", datetime(2025, 1, 1, 2, tzinfo=UTC)),
        ("2025-01-01", datetime(2024, 12, 31, 16, tzinfo=UTC)),
        ("2025-01-01T10:00:00Z", datetime(2025, 1, 1, 10, tzinfo=UTC)),
        ("2025-01-01 10:00:00+01:00", datetime(2025, 1, 1, 9, tzinfo=UTC)),
        ("2025-01-01T10:00:00.123456Z", datetime(2025, 1, 1, 10, 0, 0, 123456, tzinfo=UTC)),
    ],
)
def test_instants_may_be_text(csv, text, expected):
    _, rows = read(csv(HEADER + f"u1,b1,search,{text}\n"), time_zone="Asia/Shanghai")
    assert instants_of(rows) == [expected]


def test_text_without_a_zone_is_said_too(csv):
    naive = csv(HEADER + "u1,b1,search,2025-01-01 10:00:00\n")
    assert read(naive, time_zone="Asia/Shanghai")[0].said == NAIVE


def test_text_with_a_zone_is_not_said_and_one_without_among_them_is(csv):
    zoned = [f"u1,b1,search,2025-01-01{rest}\n" for rest in (
        "T10:00:00Z", " 10:00:00+01:00", " 10:00-08", " 10:00:00 UTC", " 10:00:00 Asia/Shanghai",
    )]  # fmt: skip
    assert read(csv(HEADER + "".join(zoned)))[0].said == ()
    for naive in ("2025-01-01", "2025-01-01T10:00:00.5", "2025-01-01 10:00"):
        text = HEADER + "".join(zoned) + f"u1,b1,search,{naive}\n"
        assert read(csv(text))[0].said == NAIVE


@pytest.mark.parametrize("zone", [None, "UTC"])
@pytest.mark.parametrize("nanoseconds", [1_999, 1_000, 999, 500, -1, -1_000])
def test_nanoseconds_never_move_an_event_into_the_future(parquet, zone, nanoseconds):
    instants = pa.array([NEW_YEAR * 1_000 + nanoseconds, nanoseconds], pa.timestamp("ns", zone))
    _, rows = read(parquet(occurred_at=instants))
    expected = [nanoseconds // 1_000, NEW_YEAR + nanoseconds // 1_000]
    assert rows.occurred_at.tolist() == expected


def test_dates_are_midnights_in_the_zone(parquet):
    log, rows = read(parquet(occurred_at=[date(2025, 7, 1)]), time_zone="America/New_York")
    assert instants_of(rows) == [datetime(2025, 7, 1, 4, tzinfo=UTC)]
    assert log.said == NAIVE


@pytest.mark.parametrize(
    ("zone", "day"), [("UTC", 20088), ("Asia/Shanghai", 20089), ("America/New_York", 20088)]
)
def test_the_local_day_is_the_zones(csv, zone, day):
    _, rows = read(csv(HEADER + "u1,b1,search,2024-12-31T23:59:59.999999Z\n"), time_zone=zone)
    assert rows.local_day.tolist() == [day]


@pytest.mark.parametrize(
    ("zone", "last", "end"),
    [
        ("UTC", "2025-01-31T00:00:00Z", "2025-02-01T00:00:00Z"),
        ("UTC", "2025-01-31T23:59:59.999999Z", "2025-02-01T00:00:00Z"),
        ("Asia/Shanghai", "2025-01-31T15:59:59Z", "2025-01-31T16:00:00Z"),
        ("Asia/Shanghai", "2025-01-31T16:00:00Z", "2025-02-01T16:00:00Z"),
        ("America/New_York", "2025-03-09T12:00:00Z", "2025-03-10T04:00:00Z"),
        ("America/New_York", "2025-11-02T12:00:00Z", "2025-11-03T05:00:00Z"),
    ],
)
def test_a_log_is_complete_up_to_the_end_of_its_last_local_day(csv, zone, last, end):
    path = csv(HEADER + GOOD.replace("2025", "2024") + f"u1,b1,like,{last}\n")
    with open_engine(SETTINGS, zone) as engine:
        settings = EventsSettings(path=path.name, time_zone=zone)
        log = read_events(engine, settings, path.parent)
        assert log_end(engine, log.table) == pd.Timestamp(end).value // 1000
        assert log_end(engine, log.before(0).table) == 0


def test_a_log_of_one_day_of_one_event_is_a_log(csv):
    log, rows = read(csv(HEADER + GOOD))
    assert rows.drop(columns=["category_id", "channel", "event_id", "value_micros"]).to_dict(
        "records"
    ) == [
        {
            "user_id": "u1",
            "brand_id": "b1",
            "kind": KIND_CODE["search"],
            "occurred_at": NEW_YEAR + 10 * 3_600_000_000,
            "local_day": 20089,
        }
    ]
    assert not log.has_values
    assert log.said == ()


def test_events_in_the_far_future_are_read_and_not_seen_before(csv):
    path = csv(HEADER + GOOD + "u1,b1,purchase,2999-01-01T00:00:00Z\n")
    with open_engine(SETTINGS, "UTC") as engine:
        log = read_events(engine, EventsSettings(path=path.name), path.parent)
        at = NEW_YEAR + 10 * 3_600_000_000
        counts = [
            log.before(as_of).table.count().to_pyarrow().as_py()
            for as_of in (at, at + 1, 2**62)
        ]  # fmt: skip
    assert counts == [0, 1, 2]


def test_clocks_that_go_wrong_leave_events_where_their_instants_are(csv):
    at = ["1969-12-31T23:59:59.999999Z", "2025-01-02T00:00:00Z", "1970-01-01T00:00:00Z"]
    _, rows = read(csv(HEADER + "".join(f"u1,b1,search,{text}\n" for text in at)))
    assert rows.occurred_at.tolist() == [-1, 0, NEW_YEAR + 86_400_000_000]
    assert rows.local_day.tolist() == [-1, 0, 20090]


def test_all_events_of_a_user_with_very_many_are_read(parquet):
    n = 200_000
    log, rows = read(parquet(user_id=["busy"] * n, event_id=[f"e{i}" for i in range(n)]))
    assert rows.event_id.nunique() == n
    assert log.said == ()


# Identity -----------------------------------------------------------------------------------


def test_repeats_are_dropped_by_event_id_and_the_first_in_the_order_of_events_stays(parquet):
    path = parquet(
        event_id=["a", "a", "a", "b"],
        kind=["purchase", "like", "search", "like"],
        occurred_at=pa.array([NEW_YEAR + i for i in (1, 0, 0, 2)], pa.timestamp("us", "UTC")),
    )
    log, rows = read(path)
    assert rows[["event_id", "kind"]].to_numpy().tolist() == [
        ["a", KIND_CODE["like"]],
        ["b", KIND_CODE["like"]],
    ]
    assert log.said == ("2 repeated events (same event_id) were dropped",)


def test_events_without_ids_all_count(parquet, csv):
    same = pa.array([NEW_YEAR] * 3, pa.timestamp("us", "UTC"))
    assert len(read(parquet(occurred_at=same))[1]) == 3
    assert len(read(parquet(occurred_at=same, event_id=[None, None, ""]))[1]) == 3
    assert len(read(csv(HEADER + GOOD * 3))[1]) == 3


def test_whole_numbers_are_ids_by_their_decimal_text(parquet):
    log, rows = read(
        parquet(
            user_id=[7, -8, 2**62], brand_id=pa.array([1, 2, None], pa.int32()), event_id=[3, 4, 3]
        )
    )
    assert rows.user_id.tolist() == ["7", "-8"]
    assert rows.brand_id.tolist() == ["1", "2"]
    assert rows.event_id.tolist() == ["3", "4"]
    assert log.id_types == {"user_id": "integer", "brand_id": "integer"}


def test_ids_in_csv_are_text_as_they_stand(csv):
    log, rows = read(csv(HEADER + "007,1e5,search,2025-01-01\nNULL,true,like,2025-01-01\n"))
    assert rows.user_id.tolist() == ["NULL", "007"]
    assert rows.brand_id.tolist() == ["true", "1e5"]
    assert log.id_types == {"user_id": "text", "brand_id": "text"}


def test_ids_of_other_whole_types_are_their_text(parquet):
    many = pa.array([Decimal("12345678901234567890"), Decimal(7)], pa.decimal128(20, 0))
    log, rows = read(parquet(user_id=many, category_id=pa.nulls(2), event_id=pa.nulls(2)))
    assert rows.user_id.tolist() == ["12345678901234567890", "7"]
    assert rows.category_id.isna().all()
    assert log.id_types["user_id"] == "text"


def test_a_line_that_begins_with_a_hash_is_an_event(csv):
    text = HEADER + GOOD + "#u2,b1,search,2025-01-01T11:00:00Z\n# u3,b#,like,2025-01-02\n"
    _, rows = read(csv(text))
    assert rows.user_id.tolist() == ["u1", "#u2", "# u3"]


def test_ids_may_hold_any_letter_and_stay_apart(parquet, csv):
    ids = ["é", "e\u0301", "u\x00x", "🦊\n\"'", " u ", "u", "U", "İ", "ß", "ss", "用户"]
    _, rows = read(parquet(user_id=ids, brand_id=ids[::-1], event_id=ids))
    assert rows.user_id.tolist() == ids
    assert rows.brand_id.tolist() == ids[::-1]
    quoted = "".join(
        f'"{id_.replace(chr(34), chr(34) * 2)}",b,search,2025-01-01 00:00:{i:02}Z\n'
        for i, id_ in enumerate(ids)
        if "\x00" not in id_
    )
    _, rows = read(csv(HEADER + quoted))
    assert rows.user_id.tolist() == [id_ for id_ in ids if "\x00" not in id_]


# Values and mappings ------------------------------------------------------------------------


def test_empty_text_is_unknown(parquet):
    _, rows = read(parquet(brand_id=["", "b1"], category_id=["c", ""], channel=["", None]))
    assert rows.brand_id.isna().tolist() == [True, False]
    assert rows.category_id.isna().tolist() == [False, True]
    assert rows.channel.isna().all()


@pytest.mark.parametrize(
    ("value", "micros"),
    [("3.5", 3_500_000), ("-5", -5_000_000), ("0.0000004", 0), ("1e9", 10**15), ("", None)],
)
def test_values_are_kept_in_millionths(csv, value, micros):
    log, rows = read(csv(WITH_VALUES + f"u1,b1,purchase,2025-01-01,{value}\n"))
    assert rows.value_micros.isna().tolist() == [micros is None]
    assert rows.value_micros.dropna().tolist() == [micros] * (micros is not None)
    assert log.has_values


@pytest.mark.parametrize("values", [[5], [5.0], [Decimal("5.00")], ["5"]])
def test_values_may_be_numbers_of_any_type(parquet, values):
    _, rows = read(parquet(kind=["purchase"], value=values))
    assert rows.value_micros.tolist() == [5_000_000]


@pytest.mark.parametrize("value", ["nan", "a lot", "1e99", "3"])
def test_the_value_of_another_kind_is_not_read(csv, value):
    _, rows = read(csv(WITH_VALUES + f"u1,b1,like,2025-01-01,{value}\nu1,b1,refund,2025-01-02,2"))
    assert rows.value_micros.isna().tolist() == [True, False]
    assert rows.value_micros[1] == 2_000_000


def test_columns_and_kinds_are_mapped_and_dropped(csv):
    path = csv(
        "who,kind,brand,when,event,note\n"
        "u1,x,b1,2025-01-01T00:00:00Z,read,hello\n"
        "u2,x,b2,2025-01-02T00:00:00Z,share,\n"
        "u3,x,b3,soon,search_rival,\n"
        "u4,x,b4,2025-01-04T00:00:00Z,like,\n"
    )
    log, rows = read(
        path,
        columns={"user_id": "who", "brand_id": "brand", "occurred_at": "when", "kind": "event"},
        kinds={"read": "note_read", "share": "publish_note", "search_rival": False},
    )
    assert rows.user_id.tolist() == ["u1", "u2", "u4"]
    assert [KINDS[code] for code in rows.kind] == ["note_read", "publish_note", "like"]
    assert log.said == ("1 events of kind 'search_rival' were dropped, as configured",)


def test_kinds_that_are_numbers_are_mapped_by_their_text(parquet):
    _, rows = read(parquet(kind=[1, 2]), kinds={"1": "search", "2": "purchase"})
    assert [KINDS[code] for code in rows.kind] == ["search", "purchase"]


def test_a_canonical_kind_may_be_dropped_or_mean_another(parquet):
    path = parquet(kind=["impression", "search", "like"])
    _, rows = read(path, kinds={"impression": False, "search": "product_view"})
    assert sorted(KINDS[code] for code in rows.kind) == ["like", "product_view"]


def test_an_unsorted_log_is_the_log_sorted(csv):
    lines = [f"u{i},b1,search,2025-01-0{i}T00:00:00Z\n" for i in (3, 1, 2)]
    _, shuffled = read(csv(HEADER + "".join(lines)))
    _, ordered = read(csv(HEADER + "".join(sorted(lines))))
    pd.testing.assert_frame_equal(shuffled, ordered)


@pytest.mark.parametrize("ending", ["\r\n", "\n\n"])
def test_endings_of_lines_and_a_mark_at_the_beginning_do_no_harm(csv, ending):
    text = "\ufeff" + (HEADER + GOOD * 2).replace("\n", ending).rstrip()
    _, rows = read(csv(text))
    assert rows.user_id.tolist() == ["u1", "u1"]


ALL_COLUMNS = ", ".join(COLUMNS)
ALL_KINDS = ", ".join(KINDS)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"columns": {"event_time": "occurred_at"}},
            f"'event_time' is no column of ours ({ALL_COLUMNS}); the wrong way round? "
            "Write occurred_at = 'event_time'",
        ),
        ({"columns": {"colour": "color"}}, f"'colour' is no column of ours ({ALL_COLUMNS})"),
        (
            {"kinds": {"note_read": "read"}},
            f"note_read = 'read': 'read' is no kind of ours ({ALL_KINDS}); the wrong way round? "
            "Write read = 'note_read'",
        ),
        (
            {"kinds": {"search": "my note"}},
            f"search = 'my note': 'my note' is no kind of ours ({ALL_KINDS}); the wrong way round? "
            "Write \"my note\" = 'search'",
        ),
        ({"kinds": {"read": "zap"}}, f"read = 'zap': 'zap' is no kind of ours ({ALL_KINDS})"),
        ({"time_zone": "Mars"}, "'Mars' is no time zone; write one like 'Asia/Shanghai'"),
        ({"time_zone": ""}, "'' is no time zone"),
        ({"time_zone": "../secrets"}, "'../secrets' is no time zone"),
        ({"time_zone": "localtime"}, "'localtime' is a time zone that DuckDB does not know; write"),
        ({"settle_days": -1}, "greater than or equal to 0"),
        ({"settle_days": 366}, "less than or equal to 365"),
        ({"colums": {}}, "Extra inputs are not permitted"),
        ({"kinds": {"read": True}}, "Input should be False"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings, says):
    with pytest.raises(ValidationError) as caught:
        EventsSettings(path="log.csv", **settings)
    assert says in str(caught.value)
    assert ("the wrong way round?" in str(caught.value)) == ("the wrong way round?" in says)
