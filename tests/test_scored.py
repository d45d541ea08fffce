"""Scored files: the newest is found, and what is none is refused or passed over, and said."""

import os

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import ConfigError
from serving.crowd.scored import newest_scored, read_scored
from serving.crowd.scored_origin import days_behind
from serving.crowd.scored_pairs import open_scored
from stagecast.configuration import load_configuration
from tests.scored_files import AS_OF, DAY, STAGES, desk, event, some_pairs, write_scored
from tests.worlds import TrainedWorld, stagecast


def test_a_file_says_what_it_holds(tmp_path):
    found = read_scored(write_scored(tmp_path / "a.parquet", some_pairs(), release="r9"))
    assert (found.release, found.as_of, found.pairs) == ("r9", AS_OF, 60)
    assert (found.horizons, found.stages) == ((7, 30), STAGES)
    assert found.id_types == {"user_id": "text", "brand_id": "text"}
    assert found.has_values


def test_a_log_without_amounts_has_no_values(tmp_path):
    path = write_scored(tmp_path / "a.parquet", some_pairs().assign(value=None))
    assert not read_scored(path).has_values


def test_the_newest_is_that_of_the_latest_instant_whatever_its_name_and_time(tmp_path):
    newest = write_scored(tmp_path / "a.parquet", some_pairs(), AS_OF + 1)
    write_scored(tmp_path / "z.parquet", some_pairs(), AS_OF)
    assert newest_scored(tmp_path)[0].path == newest
    # Of one instant, the one that was written last.
    again = write_scored(tmp_path / "0.parquet", some_pairs(), AS_OF + 1)
    os.utime(again, ns=(2**62, 2**62))
    assert newest_scored(tmp_path)[0].path == again


def test_what_is_no_scored_file_is_passed_over_and_said(tmp_path):
    good = write_scored(tmp_path / "good.parquet", some_pairs())
    (tmp_path / "cut.parquet").write_bytes(good.read_bytes()[:-9])
    pq.write_table(pa.table({"user_id": ["u"]}), tmp_path / "other.parquet")
    write_scored(tmp_path / "empty.parquet", some_pairs().head(0))
    (tmp_path / ".partial.parquet").write_bytes(b"half")
    found, said = newest_scored(tmp_path)
    assert found.path == good
    assert [text.split(":")[1].strip().split("/")[-1].split(" ")[0] for text in said] == [
        "cut.parquet",
        "empty.parquet",
        "other.parquet",
    ]
    assert "was cut off" in said[0]
    assert "holds no pair" in said[1]
    assert "no column like 'p_purchase_30d'" in said[2]


def test_a_folder_without_one_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(
        ConfigError, match=r"scores holds no scored file; write one: stagecast score"
    ):
        newest_scored(tmp_path / "scores")
    (tmp_path / "x.parquet").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match=r"no scored file \(passed over: .*x\.parquet"):
        newest_scored(tmp_path)


@pytest.mark.parametrize(
    "name", ["user_id", "as_of", "stage", "p_lapse_30d", "p_at_share_7d", "expected_value_30d"]
)
def test_a_missing_column_is_named(tmp_path, name):
    path = write_scored(tmp_path / "a.parquet", some_pairs())
    pq.write_table(pq.read_table(path).drop_columns([name]), path)
    with pytest.raises(ConfigError, match=f"a.parquet is no file of forecasts: .*{name}"):
        read_scored(path)


def test_a_column_of_another_type_is_named(tmp_path):
    path = write_scored(tmp_path / "a.parquet", some_pairs())
    table = pq.read_table(path)
    place = table.schema.names.index("p_purchase_30d")
    pq.write_table(table.set_column(place, "p_purchase_30d", table["stage"]), path)
    with pytest.raises(ConfigError, match=r"'p_purchase_30d' holds string, not float64"):
        read_scored(path)


def test_forecasts_of_several_instants_or_releases_are_refused(tmp_path):
    one = write_scored(tmp_path / "a.parquet", some_pairs())
    for other in ({"as_of": AS_OF + DAY}, {"release": "r2"}):
        more = write_scored(tmp_path / "b.parquet", some_pairs(), **other)
        both = tmp_path / "c.parquet"
        pq.write_table(pa.concat_tables([pq.read_table(one), pq.read_table(more)]), both)
        with pytest.raises(ConfigError, match="it mixes forecasts of several instants or releases"):
            read_scored(both)


def test_a_horizon_that_was_not_scored_is_refused_with_the_way_out(tmp_path):
    found = read_scored(write_scored(tmp_path / "a.parquet", some_pairs()))
    found.check_horizon(30)
    with pytest.raises(ConfigError, match=r"14 days; .* for 7, 30 days.*--horizons 7,14,30"):
        found.check_horizon(14)


def test_pairs_have_the_category_of_their_brand_and_no_user_who_opted_out(tmp_path):
    pairs = some_pairs()
    configuration = desk(tmp_path, pairs)
    file, _ = newest_scored(tmp_path / "scores")
    out = frozenset({"u000", "a stranger"})
    with open_scored(file, configuration.dataset, None, out) as scored:
        rows = scored.ask("SELECT user, brand, category_id FROM scored ORDER BY ALL").fetchall()
        assert scored.brand_ids == ("b1", "b2")
    expected = pairs[pairs.user_id != "u000"]
    assert rows == sorted(
        (u, b, "tea") for u, b in zip(expected.user_id, expected.brand_id, strict=True)
    )


def test_attributes_are_those_of_the_files_instant(tmp_path):
    users = pd.DataFrame(
        {
            "user_id": ["u000", "u000", "u000", "u001"],
            "grade": [1, 2, 3, 9],
            "valid_from": pd.to_datetime(
                ["2025-01-01", "2025-04-30", "2025-05-01", None], utc=True
            ),
        }
    )
    configuration = desk(tmp_path, some_pairs(), users=users)
    file, _ = newest_scored(tmp_path / "scores")
    with open_scored(file, configuration.dataset, None, frozenset()) as scored:
        assert scored.users is not None
        found = scored.ask("SELECT user_id, user_grade FROM described ORDER BY ALL").fetchall()
    assert found == [("u000", 2.0), ("u001", 9.0)]


@pytest.mark.parametrize("form", ["instants", "clocks", "texts", "dates", "csv"])
def test_how_far_the_log_goes_on_is_seen_in_every_form_of_it(tmp_path, form):
    configuration = desk(tmp_path, some_pairs(), [event("u000", "b1", "search", 9.5)])
    path, file = tmp_path / "events.parquet", newest_scored(tmp_path / "scores")[0]
    log = pd.read_parquet(path)
    at = log.occurred_at.dt.tz_convert("UTC")
    log["occurred_at"] = {
        "instants": at,
        "clocks": at.dt.tz_localize(None),
        "texts": at.dt.strftime("%Y-%m-%d %H:%M:%S"),
        "dates": at.dt.date,
        "csv": at.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }[form]
    if form == "csv":
        log.to_csv(tmp_path / "events.csv", index=False)
        text = configuration.path.read_text("utf-8").replace("events.parquet", "events.csv")
        configuration.path.write_text(text, "utf-8")
    else:
        log.to_parquet(path, index=False)
    assert days_behind(file, load_configuration(configuration.path).dataset) == 10


def test_what_score_writes_is_the_newest_scored_file(world: TrainedWorld, tmp_path):
    mine = world.copied_to(tmp_path / "w")
    done = stagecast("score", mine.config, "--as-of", mine.as_of, "--horizons", "7,30", "--json")
    assert done.code == 0, done.err
    found, said = newest_scored(mine.folder / "scores")
    assert said == ()
    assert str(found.path) == done.json["out"]
    assert (found.release, found.as_of, found.horizons) == (mine.release, mine.instant(), (7, 30))
    assert found.pairs == done.json["pairs"]
    assert found.stages == tuple(mine.published().model.stages)
