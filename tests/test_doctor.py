"""The doctor: its counts are those of plain Python, and its sentences can be checked by hand."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.brands import Brands
from features.engine import EngineSettings
from features.errors import TrainingError
from features.offline import with_categories
from features.spans import Span
from features.vocabulary import KINDS
from models.horizons import learnt_edges
from models.purchase import FEWEST_BUYERS
from stagecast.configuration import load_configuration
from tests.engines import stage_model
from tests.random_logs import DAY, START, instants, micros, random_log
from tests.slow_twin import twin_values
from tests.worlds import plain_log, refusal, stagecast
from training.daily_counts import DailyCounts, Run, usual
from training.doctor import diagnose
from training.evidence import History
from training.moments import SamplingSettings, grid_days, sample_moments

AS_OF = START + 320 * DAY
DATE = "2025-11-17"
HORIZONS = (5, 30, 90)
BRANDS = Brands(("b0", "b1", "b2", "b3"), ("c0", "c1", "c0", "c1"), (5, 21, 70, 150), 30)
TABLES = '[brands]\npath = "brands.parquet"\n[users]\npath = "users.parquet"\n'
FORECAST = f"[forecast]\nhorizons = {list(HORIZONS)}\n"


def written(folder, log, more=""):
    """Write a log, and a configuration of one thread."""
    log.to_parquet(folder / "events.parquet", index=False)
    config = folder / "stagecast.toml"
    config.write_text(
        f'[events]\npath = "events.parquet"\n{more}\n[engine]\nthreads = 1\n', encoding="utf-8"
    )
    return config


def random_config(folder, log, more="", brands=BRANDS):
    """Write a log with tables that leave out the last brand and every second user."""
    known = {
        "brand_id": brands.brand_ids[:-1],
        "category_id": [None, *brands.categories[1:-1]],
        "decision_cycle_days": brands.cycles[:-1],
    }
    pd.DataFrame(known).to_parquet(folder / "brands.parquet", index=False)
    users = sorted(log.user_id.unique())[::2]
    pd.DataFrame({"user_id": users}).to_parquet(folder / "users.parquet", index=False)
    return written(folder, log, more + TABLES + FORECAST)


def diagnosis(config, as_of=AS_OF, engine=None):
    configuration = load_configuration(config)
    dataset = configuration.dataset
    dataset = replace(dataset, engine=engine) if engine else dataset
    with dataset.open() as data:
        return diagnose(data, configuration.settings.forecast, as_of)


def said(config, as_of=AS_OF):
    """What is missing, and what single categories lack."""
    found = diagnosis(config, as_of)
    return [*found.missing, *found.thin]


def bought_log(days, users, category="baby_food", brand="b1"):
    """Everybody views the brand on day 0, and buys on each of the days given for them."""
    views = pd.DataFrame({"user_id": users, "day": 0.0, "kind": "product_view"})
    buys = [
        (user, float(day), "purchase") for user, on in zip(users, days, strict=True) for day in on
    ]
    rows = pd.concat([views, pd.DataFrame(buys, columns=["user_id", "day", "kind"])])
    return rows.assign(category_id=category, brand_id=brand)


def one_log(*parts, last_day=99):
    """Return the parts as one log that ends with its last day."""
    rows = pd.concat(parts, ignore_index=True)
    end = {"user_id": "end", "brand_id": None, "category_id": None, "day": float(last_day),
           "kind": "search"}  # fmt: skip
    rows = pd.concat([rows, pd.DataFrame([end])], ignore_index=True)
    return plain_log(**rows.to_dict("series"))


def milk_tea(last_day=99):
    """Forty users who buy another category every day: enough for every horizon."""
    users = [f"m{i}" for i in range(40)]
    return bought_log([range(1, last_day + 1)] * 40, users, "milk_tea", "b2")


class Twin:
    """The counts of a log before AS_OF, in plain Python."""

    def __init__(self, log, settle_days=0):
        rows = log.assign(at=micros(log.occurred_at)).sort_values("at")
        self.rows = list(rows[rows["at"] < AS_OF].itertuples(index=False))
        self.known_to = AS_OF - settle_days * DAY
        self.begin = grid_days(self.rows[0].at, self.known_to, "UTC").begin
        self.first_at = {}
        for row in self.rows:
            if isinstance(row.brand_id, str):
                self.first_at.setdefault((row.user_id, row.brand_id), row.at)
        own = Counter(
            (r.brand_id, r.category_id) for r in self.rows if isinstance(r.category_id, str)
        )
        brands = sorted({brand for _, brand in self.first_at})
        listed = dict(zip(BRANDS.brand_ids[:-1], [None, *BRANDS.categories[1:-1]], strict=True))
        self.category = {
            brand: listed.get(brand)
            or min(
                (c for b, c in own if b == brand), key=lambda c: (-own[brand, c], c), default=None
            )
            for brand in brands
        }

    def purchases(self, category=...):
        return [
            row
            for row in self.rows
            if row.kind == "purchase"
            and isinstance(row.brand_id, str)
            and category in (..., self.category[row.brand_id])
        ]

    def pairs(self, category=...):
        return [pair for pair in self.first_at if category in (..., self.category[pair[1]])]

    def buyers(self, x, category=...):
        """Walk back from where labels are known, x days at a time, and look at every pair.

        Returns the buyers of each span, the latest first.
        """
        found, moment = [], self.known_to - x * DAY
        bought = self.purchases(category)
        while moment >= self.begin:
            pairs = {
                (row.user_id, row.brand_id) for row in bought if moment <= row.at < moment + x * DAY
            }
            found.append(sum(self.first_at[pair] < moment for pair in pairs))
            moment -= x * DAY
        return found


def as_twin(found, twin, category=...):
    """Compare an object of evidence with the twin's."""
    assert found["pairs"] == len(twin.pairs(category))
    assert found["brands"] == len({brand for _, brand in twin.pairs(category)})
    bought = twin.purchases(category)
    assert found["purchases"] == len(bought)
    since = twin.known_to - 30 * DAY
    assert found["purchases_30d"] == sum(since <= row.at < twin.known_to for row in bought)
    assert found["buyers"] == len({row.user_id for row in bought})
    for horizon in found["horizons"]:
        x, spans = horizon["horizon_days"], twin.buyers(horizon["horizon_days"], category)
        assert horizon["buyers"] == sum(spans)
        short, long = (spans[: -(-days // x)] for days in (30, 90))
        recent = short if sum(short) >= 10 else long
        assert horizon["buyers_per_day"] == sum(recent) / (max(1, len(recent)) * x)
        missing = max(0, FEWEST_BUYERS - sum(spans))
        assert horizon["more_purchases"] == missing
        if missing and not sum(recent):
            assert horizon["more_days"] is None
        else:
            days = ceil(missing / horizon["buyers_per_day"]) if missing else 0
            assert horizon["more_days"] == max(days, horizon["more_history"])


@pytest.mark.parametrize(("seed", "settle"), [(1, 0), (2, 9), (3, 0)])
def test_pairs_buyers_and_purchases_are_those_of_a_count_by_hand(tmp_path, seed, settle):
    log = random_log(seed, n_events=1_500, n_users=25)
    config = random_config(tmp_path, log, f"settle_days = {settle}\n")
    done = stagecast("doctor", config, "--as-of", DATE, "--json")
    twin = Twin(log, settle)
    assert done.json["all"]["decision_cycle_days"] is None
    assert [h["horizon_days"] for h in done.json["all"]["horizons"]] == list(HORIZONS)
    as_twin(done.json["all"], twin)
    assert 0 < sum(twin.buyers(90)) < sum(twin.buyers(5)) < len(twin.purchases())
    names = {one["category"] for one in done.json["categories"]}
    assert names == set(twin.category.values())
    for one in done.json["categories"]:
        as_twin(one, twin, one["category"])
    purchases = [one["purchases"] for one in done.json["categories"]]
    assert purchases == sorted(purchases, reverse=True)


def test_spans_and_what_was_met_before_them_end_to_the_microsecond(tmp_path):
    end = START + 100 * DAY
    week = end - 7 * DAY
    events = [
        ("end", START, "product_view"),
        # One buyer in each of two spans, and not two in one.
        ("a", START, "product_view"),
        ("a", week - 1, "purchase"),
        ("a", week, "purchase"),
        # Met at the moment itself: not before it. A microsecond sooner is.
        ("b", week, "product_view"),
        ("b", week + DAY, "purchase"),
        ("c", week - 1, "product_view"),
        ("c", end - 1, "purchase"),
        # The last 30 days begin with their first instant. Who has bought once has not met before.
        ("d", end - 30 * DAY, "purchase"),
        ("e", end - 30 * DAY - 1, "purchase"),
        ("f", end, "purchase"),
    ]
    users, at, kinds = zip(*events, strict=True)
    log = pd.DataFrame({"user_id": users, "brand_id": "b1", "kind": kinds})
    more = "[forecast]\nhorizons = [7, 14]\n"
    config = written(tmp_path, log.assign(occurred_at=instants(at)), more)
    found = diagnosis(config, end).everyone
    assert [(h.horizon_days, h.buyers) for h in found.horizons] == [(7, 3), (14, 1)]
    assert (found.counts.purchases, found.counts.purchases_30d) == (6, 5)
    text = config.read_text().replace("[forecast]", "settle_days = 1\n[forecast]", 1)
    config.write_text(text, encoding="utf-8")
    late = diagnosis(config, end + DAY).everyone
    assert late.horizons == found.horizons
    assert (late.counts.purchases, late.counts.purchases_30d) == (7, 5)


@pytest.mark.parametrize(("cycles", "own"), [((20, 5, 20), 20), ((20, 5, 9), 5)])
def test_a_category_is_looked_at_over_the_cycle_of_most_of_its_brands_as_well(
    tmp_path, cycles, own
):
    brands = {"brand_id": ["b1", "b2", "b3"], "category_id": "c", "decision_cycle_days": cycles}
    pd.DataFrame(brands).to_parquet(tmp_path / "brands.parquet", index=False)
    more = f"[forecast]\nhorizons = [30, 7]\n{TABLES.split('[users]')[0]}"
    found = diagnosis(written(tmp_path, one_log(milk_tea()), more), START + 100 * DAY)
    (category,) = found.categories
    assert (category.category, category.cycle_days) == ("c", own)
    assert [horizon.horizon_days for horizon in category.horizons] == [30, 7, own]


@pytest.mark.parametrize("seed", [4, 5])
def test_kinds_days_and_tables_are_those_of_a_count_by_hand(tmp_path, seed):
    log = random_log(seed, n_events=1_000, n_users=25)
    log.loc[log.kind == "like", "kind"] = "follow"
    config = random_config(tmp_path, log)
    printed = stagecast("doctor", config, "--as-of", DATE, "--json")
    assert len(printed.out.splitlines()) == 1
    done = printed.json
    rows = Twin(log).rows
    of_kind = Counter(row.kind for row in rows)
    assert {kind["kind"]: kind["events"] for kind in done["kinds"]} == of_kind
    assert [kind["kind"] for kind in done["kinds"]] == [kind for kind in KINDS if of_kind[kind]]
    assert done["never"] == [kind for kind in KINDS if not of_kind[kind]] == ["like"]
    for kind in done["kinds"]:
        days = [str(row.occurred_at.date()) for row in rows if row.kind == kind["kind"]]
        assert (kind["first"], kind["last"]) == (min(days), max(days))
    by_day = Counter(str(row.occurred_at.date()) for row in rows)
    first = datetime.fromisoformat(done["days"]["first"])
    days = [str((first + timedelta(i)).date()) for i in range(len(done["days"]["events"]))]
    assert days[-1] == "2025-11-16"
    assert done["days"]["events"] == [by_day[day] for day in days]
    counts, users = done["counts"], sorted(log.user_id.unique())
    assert counts["users_without_row"] == len({r.user_id for r in rows} - set(users[::2]))
    assert counts["brands_without_row"] == 1
    bought = [row for row in rows if row.kind == "purchase"]
    assert counts["purchases"] == len(bought)
    assert counts["purchases_with_value"] == sum(not np.isnan(row.value) for row in bought)
    category = Twin(log).category
    assert counts["brands_without_category"] == sum(c is None for c in category.values())


def test_stages_are_those_of_the_slow_twin(tmp_path):
    log = random_log(4, n_events=600, n_users=12)
    config = random_config(tmp_path, log)
    found = diagnosis(config)
    year = AS_OF - 365 * DAY
    seen = log[(micros(log.occurred_at) < AS_OF) & (micros(log.occurred_at) >= year)]
    pairs = seen.dropna(subset="brand_id")[["user_id", "brand_id"]].drop_duplicates()
    configuration = load_configuration(config)
    with configuration.dataset.open() as data:
        brands = data.brands(AS_OF)
    stages = twin_values(log, pairs.assign(as_of=AS_OF), brands, stages=[stage_model()])["aips"]
    counts = np.bincount(stages.astype(int), minlength=len(stage_model().names))
    assert found.stages == dict(zip(stage_model().names, counts.tolist(), strict=True))
    assert found.every == 1


def test_the_future_changes_nothing(tmp_path):
    log = random_log(7, n_events=1_200, n_users=20)
    (tmp_path / "whole").mkdir()
    (tmp_path / "past").mkdir()
    past = log[micros(log.occurred_at) < AS_OF]
    whole = random_config(tmp_path / "whole", log)
    known = random_config(tmp_path / "past", past)
    pd.read_parquet(tmp_path / "whole" / "users.parquet").to_parquet(
        tmp_path / "past" / "users.parquet", index=False
    )
    assert diagnosis(whole).as_data() == diagnosis(known).as_data()
    both = [stagecast("doctor", config, "--as-of", DATE) for config in (whole, known)]
    assert both[0].out.replace("/whole/", "/past/") == both[1].out


def test_more_purchases_or_more_days_at_the_rate_of_late(tmp_path):
    # Three purchases each, a week apart, of twelve users in the last span of 20 days: 36 buyers
    # within 7 days and 12 within 20. Twelve came in the last 40 days, whole spans that hold 30.
    # 18 more at that rate take 60.
    users = [f"u{i}" for i in range(12)]
    log = one_log(bought_log([(81, 88, 95)] * 12, users), milk_tea())
    more = "[forecast]\nhorizons = [7]\ndecision_cycle_days = 20\n"
    found = diagnosis(written(tmp_path, log, more), START + 100 * DAY)
    baby_food = found.categories[1]
    assert [(h.horizon_days, h.buyers) for h in baby_food.horizons] == [(7, 36), (20, 12)]
    assert baby_food.at(20).buyers_per_day == 12 / 40
    assert found.enough
    assert found.thin == (
        "18 more purchases or 60 more days are needed for x = 20 in baby_food; until then the "
        "category's prior answers",
    )


def test_a_thin_month_is_measured_by_three(tmp_path):
    # Nine buyers in the last 30 days are too few for a rate; the last 90 have 18. Learning leaves
    # out the first quarter of the log, 24 days: five spans of 14 days are left.
    users = [f"u{i}" for i in range(9)]
    log = one_log(bought_log([(40, 90)] * 9, users), milk_tea())
    more = "[forecast]\nhorizons = [7, 14]\ndecision_cycle_days = 14\n"
    found = diagnosis(written(tmp_path, log, more), START + 100 * DAY)
    assert found.categories[1].at(14).buyers_per_day == 18 / 70
    assert found.thin == (
        "12 more purchases or 47 more days are needed for x = 7 and 14 in baby_food; until then "
        "the category's prior answers",
    )


def test_the_horizon_that_lacks_most_is_named(tmp_path):
    users = [f"u{i}" for i in range(5)]
    log = one_log(bought_log([(81, 88, 95)] * 5, users), milk_tea())
    more = "[forecast]\nhorizons = [7, 20]\ndecision_cycle_days = 7\n"
    assert said(written(tmp_path, log, more), START + 100 * DAY) == [
        "25 more purchases or 300 more days are needed for x = 20 in baby_food (fewer for x = 7); "
        "until then the category's prior answers"
    ]


def test_a_category_that_nobody_buys_any_more_has_no_date(tmp_path):
    users = [f"u{i}" for i in range(29)]
    log = one_log(bought_log([(150,)] * 29, users), milk_tea(299), last_day=299)
    more = "[forecast]\nhorizons = [7]\ndecision_cycle_days = 7\n"
    assert said(written(tmp_path, log, more), START + 300 * DAY) == [
        "1 more purchase is needed for x = 7 in baby_food (of late no pair bought that had met "
        "before); until then the category's prior answers"
    ]


def test_days_of_history_that_are_missing_are_counted_and_fail(tmp_path):
    config = written(tmp_path, one_log(milk_tea()), "[forecast]\nhorizons = [7, 60]\n")
    # The log begins at 8 o'clock.
    known = 100 - 1 / 3
    days = next(d for d in range(999) if learnt_edges(90, known + d)[-1] >= 60)
    last = learnt_edges(90, known)[-1]
    assert days > 0
    done = stagecast("doctor", config)
    assert done.code == 1
    assert (
        "NOT ENOUGH: training is possible, but does not learn all that is configured.\n"
        f"- {days} more day{'s' * (days > 1)} of history {'are' if days > 1 else 'is'} needed for "
        f"x = 60; until then the rate up to day {last} goes on\n"
        f"Next: stagecast train {config} --as-of 2025-04-11\n"
    ) in done.out
    assert "labels are known            over 99.7 days (settle_days = 0)" in done.out
    later = diagnosis(config, START + (100 + days) * DAY)
    assert later.everyone.at(60).more_history == 0
    sooner = diagnosis(config, START + (99 + days) * DAY)
    assert sooner.everyone.at(60).more_history == 1


def test_history_is_asked_of_a_category_for_its_own_cycle(tmp_path):
    users = [f"u{i}" for i in range(2)]
    log = one_log(bought_log([(81, 88, 95)] * 2, users), milk_tea())
    brands = {"brand_id": ["b1", "b2"], "decision_cycle_days": [70, 5]}
    pd.DataFrame(brands).to_parquet(tmp_path / "brands.parquet", index=False)
    more = f"[forecast]\nhorizons = [7]\n{TABLES.split('[users]')[0]}"
    found = diagnosis(written(tmp_path, log, more), START + 100 * DAY)
    last = found.history.edges[-1]
    own = found.categories[1].at(70)
    # Two buyers in the one span of 70 days: 28 more would take longer than the history does.
    assert own.more_history < own.more_days == 28 * 35
    assert found.enough
    assert found.thin[1] == (
        "28 more purchases and 980 more days are needed for x = 70 in baby_food; until then the "
        f"rate up to day {last} goes on"
    )


def test_a_cycle_beyond_the_longest_horizon_is_said(tmp_path):
    more = "[forecast]\nhorizons = [7]\nmax_horizon = 30\ndecision_cycle_days = 45\n"
    config = written(tmp_path, one_log(milk_tea()), more)
    done = stagecast("doctor", config)
    assert done.code == 0, done.out
    assert (
        "- x = 45 in milk_tea, its decision cycle, lies beyond max_horizon = 30; raise it in "
        "[forecast] to get forecasts there"
    ) in done.out
    assert "-  beyond max_horizon" in done.out


@pytest.mark.parametrize("known", [-5.0, 0.5, 6.0, 27.9, 28.0, 99.7, 150.0, 400.0])
@pytest.mark.parametrize("max_horizon", [5, 90, 365])
def test_with_the_missing_days_a_horizon_is_learnt_and_not_a_day_sooner(known, max_horizon):
    history = History(0, int(known * DAY), max_horizon, "UTC")
    for x in (1, 5, 45, 70, 90, 365):
        more = history.more_days(x)
        if x > max_horizon:
            assert more is None
            continue
        assert learnt_edges(max_horizon, history.days + more)[-1] >= x
        assert more == 0 or learnt_edges(max_horizon, history.days + more - 1)[-1] < x


def test_a_log_with_enough_of_everything_gets_exit_code_0(tmp_path):
    config = written(tmp_path, one_log(milk_tea()), "[forecast]\nhorizons = [7, 14]\n")
    done = stagecast("doctor", config)
    assert done.code == 0, done.out
    assert done.out.endswith(
        "ENOUGH: training is possible, and learns all horizons that are configured.\n"
        f"Next: stagecast train {config} --as-of 2025-04-11\n"
    )
    assert done.err == ""
    assert "100 local days, from 2025-01-01 on" in done.out


def test_the_end_of_the_log_is_a_midnight_of_its_own_zone(tmp_path):
    config = written(tmp_path, one_log(milk_tea()), 'time_zone = "Asia/Shanghai"')
    done = stagecast("doctor", config)
    assert "What is known at 2025-04-11 00:00 Asia/Shanghai: 4,001 events" in done.out
    assert stagecast("doctor", config, "--json").json["as_of"] == "2025-04-10T16:00:00+00:00"


def test_a_log_without_a_purchase_is_trainable_and_not_enough(tmp_path):
    views = bought_log([()] * 40, [f"u{i}" for i in range(40)])
    config = written(tmp_path, one_log(views), "[forecast]\nhorizons = [7, 14]\n")
    done = stagecast("doctor", config)
    assert done.code == 1
    assert (
        "- there is no purchase at all: 30 more purchases are needed for x = 7 and 14 (of late no "
        "pair bought that had met before); until then forecasts lean on base rates\n"
    ) in done.out
    found = diagnosis(config, START + 100 * DAY)
    assert (found.trainable, found.enough, len(found.missing)) == (True, False, 1)


def test_one_brand_only_and_no_values_are_noted_and_no_failure(tmp_path):
    config = written(tmp_path, one_log(milk_tea()), "[forecast]\nhorizons = [7]\n")
    done = stagecast("doctor", config)
    assert done.code == 0
    assert (
        "Better to know\n"
        "- one brand only: rivals, and what tells brands apart, cannot be learnt\n"
        "- no purchase has a value: no expected value can be forecast\n"
    ) in done.out
    assert "purchases with a value      the log has no column of values" in done.out
    assert "users in the users table    none of 41: no table is configured" in done.out


def test_purchases_without_a_brand_and_a_log_that_ended_long_ago_are_noted(tmp_path):
    log = one_log(milk_tea()).assign(value=1.0)
    log.loc[log.user_id == "end", "kind"] = "purchase"
    found = diagnosis(written(tmp_path, log), START + 103 * DAY)
    assert found.notes[:2] == (
        "the log ends 3 days before T, and these days count as without a purchase; choose an "
        "earlier T unless they really were",
        "1 of 3,961 purchases have no brand; they belong to no pair, and nothing is learnt from "
        "them",
    )
    assert found.coverage.purchases_with_value == 3_961


def test_what_the_reader_said_is_said_again(tmp_path):
    log = one_log(milk_tea())
    log.loc[1, "event_id"] = log.event_id[0]
    log["occurred_at"] = log.occurred_at.dt.tz_localize(None)
    done = stagecast("doctor", written(tmp_path, log), "--json")
    notes = [
        "instants without a zone were read in [events] time_zone",
        "1 repeated events (same event_id) were dropped",
    ]
    assert done.json["said"] == notes
    assert all(f"note: {note}" in done.err for note in notes)


def trains(config, as_of):
    """Return whether training finds moments to learn from, as it does it itself."""
    with load_configuration(config).dataset.open(Span(until=as_of)) as data:
        events = with_categories(data.engine, data.log.before(as_of).table, data.brands(as_of))
        first = events.occurred_at.min().to_pyarrow().as_py()
        grid = grid_days(first, as_of, "UTC")
        if not grid.midnights:
            return False
        try:
            return bool(sample_moments(data.engine, events, grid, SamplingSettings()).num_rows)
        except TrainingError:
            return False


@pytest.mark.parametrize("met", [0.0, 1.4, 3.0])
def test_training_is_possible_where_training_says_so(tmp_path, met):
    users = [f"u{i}" for i in range(30)]
    log = plain_log(
        user_id=["early", *users], brand_id=[None, *["b1"] * 30], day=[0.0, *[met] * 30],
        kind=["search", *["like"] * 30],
    )  # fmt: skip
    config = written(tmp_path, log)
    answers = []
    for days in range(int(met) + 1, 8):
        found = diagnosis(config, START + days * DAY)
        assert found.trainable == trains(config, START + days * DAY), days
        answers.append(found.trainable)
        if not found.trainable:
            more = found.history.more_days_to_train(found.coverage.first_met)
            assert not diagnosis(config, START + (days + more - 1) * DAY).trainable
            assert diagnosis(config, START + (days + more) * DAY).trainable
    assert answers == sorted(answers)
    assert set(answers) == {True, False}


def test_too_little_to_train_at_all_comes_first(tmp_path):
    config = written(tmp_path, plain_log(day=[0.0, 0.5]))
    done = stagecast("doctor", config)
    assert done.code == 1
    assert (
        "NOT ENOUGH: training is not possible yet.\n"
        "- 2 more days are needed to train at all: labels are known over 0.7 days since the first "
        "pair met\n"
    ) in done.out
    assert "Next:" not in done.out
    assert "too few days to say what is usual on one" in done.out


def test_a_log_without_a_brand_says_what_it_lacks(tmp_path):
    log = plain_log(day=[0.0, 1.0, 2.0, 3.0, 9.0], kind="search", brand_id=None)
    done = stagecast("doctor", written(tmp_path, log.astype({"brand_id": "string"})))
    assert done.code == 1
    # What is missing besides cannot be told before there is a brand.
    assert done.out.endswith(
        "NOT ENOUGH: training is not possible yet.\n"
        "- events with a brand are needed to train at all: no pair has met; "
        "[events] columns.brand_id names the column that holds the brands\n"
    )


def test_wrong_input_is_refused_as_elsewhere(tmp_path):
    config = written(tmp_path, one_log(milk_tea()))
    assert "--as-of: 'soon' is no date" in refusal("doctor", config, "--as-of", "soon")
    assert "the log has no event before it" in refusal("doctor", config, "--as-of", "2024-06-01")
    one_log(milk_tea()).iloc[:0].to_parquet(tmp_path / "events.parquet", index=False)
    assert "has columns and no events" in refusal("doctor", config)


def test_the_printed_report_fits_into_a_hundred_columns(tmp_path):
    log = random_log(1, n_events=1_500, n_users=25)
    log["category_id"] = log.category_id.map({"c0": "a category of a very long name indeed" * 2})
    done = stagecast("doctor", random_config(tmp_path, log), "--as-of", DATE)
    tables = done.out.split("What single categories lack")[0].splitlines()
    assert [line for line in tables if len(line) > 100 and not line.startswith("never:")] == []
    assert "a category of a very long n…" in done.out


# --- days -----------------------------------------------------------------------------------------

FIRST = datetime(2025, 1, 6, tzinfo=UTC).date()


def days_of(events, purchases=None):
    counts = np.asarray(events, dtype=np.int64)
    bought = np.ones_like(counts) if purchases is None else np.asarray(purchases, dtype=np.int64)
    return DailyCounts(FIRST, counts, bought)


def run(first, last=None):
    at = [FIRST + timedelta(days=day) for day in (first, first if last is None else last)]
    return Run(*at)


def test_runs_of_days_without_any_event_are_gaps():
    counts = np.full(70, 50)
    counts[[20, 21, 22, 40, 69]] = 0
    assert days_of(counts).without_events == (run(20, 22), run(40), run(69))
    assert [str(gap) for gap in days_of(counts).without_events][:2] == [
        "2025-01-26 to 2025-01-28",
        "2025-02-15",
    ]


def test_the_usual_is_the_median_of_the_same_weekday_in_four_weeks_on_both_sides():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 100, 80)
    for day, found in enumerate(usual(counts)):
        near = [
            counts[day + 7 * week] for week in range(-4, 5) if week and 0 <= day + 7 * week < 80
        ]
        assert found == np.median(near)
    assert np.isnan(usual(counts[:21])).all()
    assert not days_of(counts[:21]).judged
    assert days_of(counts[:22]).judged


def test_a_day_stands_out_by_more_than_its_weekday_and_by_more_than_chance():
    week = [100, 100, 100, 100, 100, 300, 10]
    counts = np.array(week * 10)
    assert days_of(counts).few(counts) == days_of(counts).many(counts) == ()
    counts[[14, 15]] = 49, 59
    counts[[28, 34]] = 201, 24
    found = days_of(counts)
    # Four standard deviations of a count of 100 are 40; of 10 they are more than 10.
    assert found.few(counts) == (run(14),)
    assert found.many(counts) == (run(28), run(34))
    counts[34] = 22
    assert days_of(counts).many(counts) == (run(28),)


def test_a_day_without_anything_is_a_gap_and_not_a_day_with_few():
    counts = np.full(70, 100)
    counts[30] = 0
    assert days_of(counts).few(counts) == ()


def test_days_without_a_purchase_are_odd_where_ten_were_to_be_expected():
    bought = np.array([2, 2, 2, 2, 2, 2, 0] * 10)
    events = np.full(70, 50)
    assert days_of(events, bought).without_purchases == ()
    bought[14:20] = 0  # with the Sundays on both sides: six days of 1.8
    assert days_of(events, bought).without_purchases == (run(13, 20),)
    events[13:21] = 0
    assert days_of(events, bought).without_purchases == ()
    assert days_of(events, bought).without_events == (run(13, 20),)


def test_gaps_are_printed_with_the_longest_first_kept(tmp_path):
    log = one_log(milk_tea())
    day = (micros(log.occurred_at) - START) // DAY
    gone = np.isin(day, [*range(10, 16), *range(30, 60, 3), *range(70, 74)])
    done = stagecast("doctor", written(tmp_path, log[~gone]))
    assert (
        "without any event              20        "
        "2025-01-11 to 2025-01-16, 2025-03-12 to 2025-03-15 and 10 more\n"
    ) in "".join(line.rstrip() + "\n" for line in done.out.splitlines())


# --- engines --------------------------------------------------------------------------------------


@pytest.mark.needs("java")
@pytest.mark.usefixtures("spark_runs")
def test_spark_finds_the_same(tmp_path: Path) -> None:
    config = random_config(tmp_path, random_log(8, n_events=1_200, n_users=20), "settle_days = 3\n")
    spark = EngineSettings(name="spark", threads=2, memory_gb=1.0)
    assert diagnosis(config, engine=spark).as_data() == diagnosis(config).as_data()
