"""Where pairs stand on every day, and how they move: counted again, in plain Python."""

from collections import Counter
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.brands import Brands
from serving.crowd.census import Census
from serving.crowd.census_folder import census_folder, find_census
from serving.crowd.census_scope import Scope
from stagecast.configuration import load_configuration
from tests.engines import stage_model
from tests.random_logs import DAY, START, instants, random_log
from tests.slow_twin import EPOCH, twin_values
from tests.worlds import plain_log, quiet

CYCLES = {"b0": 5, "b1": 21, "b2": 70, "b3": 150}
BRANDS = Brands(tuple(CYCLES), ("c0", "c1", "c0", "c1"), tuple(CYCLES.values()), 30)


def written(folder, log, zone="UTC", model="aips"):
    folder.mkdir(parents=True, exist_ok=True)
    log.to_parquet(folder / "events.parquet", index=False)
    table = {"brand_id": BRANDS.brand_ids, "category_id": BRANDS.categories,
             "decision_cycle_days": BRANDS.cycles}  # fmt: skip
    pd.DataFrame(table).to_parquet(folder / "brands.parquet", index=False)
    config = folder / "stagecast.toml"
    config.write_text(
        f'[events]\npath = "events.parquet"\ntime_zone = "{zone}"\n'
        f'[brands]\npath = "brands.parquet"\n[stages]\nmodel = "{model}"\n'
        "[engine]\nthreads = 1\nmemory_gb = 1.0\n",
        encoding="utf-8",
    )
    return load_configuration(config)


def census_of(configuration):
    scores = configuration.folder / "scores"
    return Census(census_folder(configuration.dataset, scores, quiet))


def midnight(day, zone):
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))


def places(log, days, zone, model):
    """Where each pair that met in the 365 days before stands on some days, by day and pair."""
    pairs = log.dropna(subset=["brand_id"])[["user_id", "brand_id"]].drop_duplicates()
    asked = pairs.merge(pd.DataFrame({"day": days}), how="cross")
    at = [(midnight(day, zone) - EPOCH) // timedelta(microseconds=1) for day in asked.day]
    moments = asked.assign(as_of=at)
    found = twin_values(log, moments, BRANDS, zone=zone, stages=[model])[model.name]
    events = [
        (user, brand, instant.to_pydatetime())
        for user, brand, instant in zip(log.user_id, log.brand_id, log.occurred_at, strict=True)
    ]
    told = {day: {} for day in days}
    for row, stage in zip(moments.itertuples(), found, strict=True):
        end = EPOCH + timedelta(microseconds=row.as_of)
        if any(
            user == row.user_id and brand == row.brand_id and end - timedelta(365) <= at < end
            for user, brand, at in events
        ):
            told[row.day][row.user_id, row.brand_id] = int(stage)
    return told


@pytest.mark.parametrize(
    ("seed", "zone", "model"),
    [
        (1, "UTC", "aips"),
        (2, "America/New_York", "sips"),
        (3, "Asia/Shanghai", "jd4a"),
        (4, "America/New_York", "o5a"),
    ],
)
def test_stays_say_of_every_pair_and_day_what_a_slow_twin_says(tmp_path, seed, zone, model):
    log = random_log(seed, n_events=160, n_users=4, days=430)
    configuration = written(tmp_path, log, zone, model)
    folder = census_folder(configuration.dataset, tmp_path / "scores", quiet)
    census = Census(folder)
    n = (census.last_day - census.first_day).days
    days = sorted({census.first_day + timedelta(days=i) for i in (*range(0, n, 6), n)})
    told = places(log, days, zone, stage_model(model))
    stays = pq.read_table(folder / "stays.parquet").to_pylist()
    for day in days:
        standing = {
            (stay["user_id"], stay["brand_id"]): stay["stage"]
            for stay in stays
            if stay["from_day"] <= day < stay["to_day"]
        }
        assert standing == told[day], day


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    log = random_log(9, n_events=260, n_users=6, days=300)
    configuration = written(tmp_path_factory.mktemp("crowd"), log)
    census = census_of(configuration)
    days = [census.first_day + timedelta(days=i) for i in (40, 70, 71, 160, 298)]
    return log, census, days, places(log, days, "UTC", stage_model())


@pytest.mark.parametrize("scope", [Scope(), Scope(brand="b1"), Scope(category="c0")])
def test_a_census_counts_the_pairs_of_its_scope_on_each_day(crowd, scope):
    _, census, days, told = crowd
    series = census.series(scope, days[0], days[-1])
    assert series.days[0] == days[0]
    assert series.days[-1] == days[-1]
    for day in days:
        chosen = Counter(
            stage
            for (_, brand), stage in told[day].items()
            if scope.holds(brand, census.categories[brand])
        )
        counted = series.counts[series.days.index(day)].tolist()
        assert counted == [chosen[stage] for stage in range(len(census.stages))]


def test_a_flow_is_who_went_from_where_to_where_and_start_and_end_add_up(crowd):
    _, census, days, told = crowd
    for start in days:
        for end in days[days.index(start) :]:
            flow = census.flow(Scope(), start, end)
            pairs = {*told[start], *told[end]}
            went = Counter(
                (told[start].get(pair, -1) + 1, told[end].get(pair, -1) + 1) for pair in pairs
            )
            assert dict(went) == {
                (i, j): n
                for i, row in enumerate(flow.counts.tolist())
                for j, n in enumerate(row)
                if n
            }
            series = census.series(Scope(), start, end)
            assert flow.at_start.tolist() == series.counts[0].tolist()
            assert flow.at_end.tolist() == series.counts[-1].tolist()
            for row in flow.rows():
                ways = [row[name] for name in ("stayed", "moved_on", "jumped", "lapsed")]
                assert row["start"] == sum(ways) + row["forgotten"]


def test_what_was_bought_between_two_days_stands_with_the_stage_at_the_start(crowd):
    log, census, days, told = crowd
    start, end = days[0], days[-2]
    flows = census.flows(start, end)
    rows = log[(log.kind == "purchase") & log.brand_id.notna()]
    rows = rows[(rows.occurred_at >= pd.Timestamp(start, tz="UTC"))
                & (rows.occurred_at < pd.Timestamp(end, tz="UTC"))]  # fmt: skip
    spent = rows.fillna({"value": 0.0}).groupby(["user_id", "brand_id"]).value.sum()
    for number, brand in enumerate(flows.names):
        for place in range(len(census.stages) + 1):
            own = [v for (user, b), v in spent.items()
                   if b == brand and told[start].get((user, b), -1) + 1 == place]  # fmt: skip
            assert flows.buyers[number, place] == len(own)
            assert flows.sales[number, place] == pytest.approx(sum(own))
            assert flows.squares[number, place] == pytest.approx(sum(v * v for v in own))


def test_an_event_is_seen_from_the_midnight_after_it_and_until_its_window_is_over(tmp_path):
    at = START + 59 * DAY
    log = plain_log(day=[0] * 3).assign(
        user_id=["edge", "before", "late"],
        occurred_at=instants([at, at - 1, at + 60 * DAY]),
        kind="impression",
    )
    configuration = written(tmp_path, log)
    folder = census_folder(configuration.dataset, tmp_path / "scores", quiet)
    stays = {
        (stay["user_id"], stay["stage"]): (stay["from_day"], stay["to_day"])
        for stay in pq.read_table(folder / "stays.parquet").to_pylist()
    }
    # At midnight itself an event is not before it; thirty days later it still counts.
    assert stays["edge", 1] == (date(2025, 3, 2), date(2025, 4, 1))
    assert stays["before", 1] == (date(2025, 3, 1), date(2025, 3, 31))
    assert stays["edge", 0] == (date(2025, 4, 1), date(2025, 5, 2))


def test_a_census_is_written_once_for_each_state_of_the_log(tmp_path):
    log = random_log(1, n_events=60, n_users=3, days=60)
    configuration = written(tmp_path, log)
    scores = tmp_path / "scores"
    assert find_census(configuration.dataset, scores) is None
    first = census_folder(configuration.dataset, scores, quiet)
    assert census_folder(configuration.dataset, scores, quiet) == first
    later = written(tmp_path, log.iloc[:50])
    second = census_folder(later.dataset, scores, quiet)
    assert second != first
    assert not first.exists()
    assert [path.name for path in second.parent.iterdir()] == [second.name]
