"""Decision cycles: waits beside a slow twin, curves beside a known truth, the table as a whole."""

import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lifelines import NelsonAalenFitter

from serving.crowd.decision_cycles import FEWEST_BUYERS, CategoryCycle, decision_cycles
from serving.crowd.decision_cycles_curve import (
    Decision,
    Estimate,
    Observation,
    _kaplan_meier,
    _resampled,
    decision_of,
    observation_of,
)
from serving.crowd.decision_cycles_table import brands_file, write_cycles
from serving.crowd.decision_cycles_waits import (
    Waits,
    first_contacts,
    first_reached,
    interests_of,
    purchase_stage,
    waits_of,
)
from stagecast.configuration import load_configuration
from tests.engines import stage_model
from tests.random_logs import DAY, START, instants, micros, random_log
from tests.slow_twin import twin_values
from tests.worlds import refusal, stagecast

KNOWN_TO = START + 300 * DAY
TRUE_DAYS = {"tea": 6, "essence": 30}


def written(folder, log, brands=None, more=""):
    folder.mkdir(parents=True, exist_ok=True)
    log.to_parquet(folder / "events.parquet", index=False)
    text = f'[events]\npath = "events.parquet"\n{more}\n[engine]\nthreads = 1\n'
    if brands is not None:
        brands.to_parquet(folder / "brands.parquet", index=False)
        text += '[brands]\npath = "brands.parquet"\n'
    (folder / "stagecast.toml").write_text(text, encoding="utf-8")
    return folder / "stagecast.toml"


def random_brands():
    return pd.DataFrame({"brand_id": ["b0", "b1", "b2"], "category_id": ["c0", "c1", "c0"]})


def twin_waits(log, category, starts):
    """(days, bought, category) of each pair whose wait began, by the pair, in plain Python."""
    at = micros(log.occurred_at)
    bought = {}
    for user, brand, kind, when in zip(log.user_id, log.brand_id, log.kind, at, strict=True):
        if kind == "purchase" and when < KNOWN_TO:
            bought[user, brand] = min(when, bought.get((user, brand), when))
    found = {}
    for pair, start in starts.items():
        end = bought.get(pair, KNOWN_TO)
        if start < end and category.get(pair[1]):
            found[pair] = ((end - start) / DAY, pair in bought, category[pair[1]])
    return found


def twin_contacts(log):
    """The first event of each pair, whatever its kind, that is no purchase and no refund."""
    starts = {}
    for row in log.assign(at=micros(log.occurred_at)).itertuples():
        if row.brand_id and row.kind not in ("purchase", "refund") and row.at < KNOWN_TO:
            pair = row.user_id, row.brand_id
            starts[pair] = min(row.at, starts.get(pair, row.at))
    return starts


def as_rows(waits):
    names = [waits.categories[code] for code in waits.category]
    return sorted(zip(waits.days.tolist(), waits.bought.tolist(), names, strict=True))


@pytest.mark.parametrize("seed", range(2))
def test_waits_from_the_first_contact_are_those_of_a_slow_twin(tmp_path, seed):
    log = random_log(seed, 500, n_users=40)
    config = written(tmp_path, log, random_brands())
    with load_configuration(config).dataset.open() as data:
        brands = data.brands(KNOWN_TO)
        pairs = first_contacts(data, brands, KNOWN_TO)
        found = waits_of(pairs, None, 0, KNOWN_TO)
    expected = twin_waits(log, brands.category(), twin_contacts(log))
    assert expected
    assert as_rows(found) == sorted(expected.values())


@pytest.mark.parametrize("name", ["aips", "sips", "jd4a"])
def test_waits_from_a_stage_are_those_of_a_slow_twin_that_looks_after_every_event(tmp_path, name):
    log = random_log(3, 400, n_users=25)
    config = written(tmp_path, log, random_brands(), f'[stages]\nmodel = "{name}"')
    model = stage_model(name)
    with load_configuration(config).dataset.open() as data:
        brands = data.brands(KNOWN_TO)
        pairs = first_contacts(data, brands, KNOWN_TO)
        reached, every = first_reached(data, pairs, brands, model, KNOWN_TO, 100_000)
        waits = {level: waits_of(pairs, at, 0, KNOWN_TO) for level, at in reached.items()}
    assert every == 1
    at = micros(log.occurred_at)
    starts = twin_contacts(log)
    looked = pd.DataFrame(
        [
            (user, brand, when + 1)
            for user, brand in starts
            for when in np.unique(at[(log.user_id == user) & (at < KNOWN_TO)])
        ],
        columns=["user_id", "brand_id", "as_of"],
    )
    stage = twin_values(log, looked, brands, stages=[model])[name].to_numpy()
    assert sorted(waits) == list(interests_of(model))
    for level, found in waits.items():
        first = {}
        for user, brand, when, held in zip(*looked.T.to_numpy(), stage, strict=True):
            # A pair that was never in contact before its purchase is no pair of ours.
            if held >= level and starts[user, brand] < when:
                first[user, brand] = min(when - 1, first.get((user, brand), when))
        expected = twin_waits(log, brands.category(), first)
        contacts = twin_waits(log, brands.category(), starts)
        assert as_rows(found) == sorted(expected[pair] for pair in expected.keys() & contacts)


def test_a_sample_of_users_is_followed_where_there_is_too_much_to_look_at(tmp_path):
    log = random_log(3, 800, n_users=100)
    config = written(tmp_path, log, random_brands())
    with load_configuration(config).dataset.open() as data:
        brands = data.brands(KNOWN_TO)
        pairs = first_contacts(data, brands, KNOWN_TO)
        whole, _ = first_reached(data, pairs, brands, stage_model(), KNOWN_TO, 100_000)
        some, every = first_reached(data, pairs, brands, stage_model(), KNOWN_TO, 100)
    assert every > 1
    for level, at in some.items():
        assert 0 < (at >= 0).sum() < (whole[level] >= 0).sum()
        np.testing.assert_array_equal(at[at >= 0], whole[level][at >= 0])


def test_the_stages_below_the_purchase_are_found_in_any_model():
    assert interests_of(stage_model("aips")) == (2, 3)
    assert interests_of(stage_model("aipl")) == (2,)
    assert interests_of(stage_model("sips")) == (2,)
    assert interests_of(stage_model("o5a")) == (2, 3)
    assert purchase_stage(stage_model("jd4a")) == 3


def made_up_waits(seed, n, eventual, mean, background, most=150.0):
    """Waits of users who decide at an exponential pace, among others who buy at any time."""
    rng = np.random.default_rng(seed)
    decided = np.where(rng.random(n) < eventual, rng.exponential(mean, n), np.inf)
    when = np.minimum(decided, rng.exponential(1 / background, n))
    followed = rng.uniform(1, most, n)
    days = np.minimum(when, followed)
    zeros = np.zeros(n, np.int64)
    return Waits(("c",), zeros, np.arange(n), days, when <= followed)


def test_the_days_of_eventual_buyers_are_found_under_censoring_and_a_background():
    waits = made_up_waits(0, 60_000, 0.05, 12.0, 0.0004)
    found = decision_of(waits, Observation(120, 80, 1))
    for share, estimate in found.days.items():
        truth = -12 * np.log(1 - share / 100)
        assert estimate.low < estimate.value < estimate.high
        assert estimate.value == pytest.approx(truth, rel=0.15)
    assert found.eventual.value == pytest.approx(0.05, abs=0.004)
    assert found.certain


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    truth = 12 * np.log(5)
    inside = 0
    for seed in range(40):
        found = decision_of(made_up_waits(seed, 3_000, 0.1, 12.0, 0.0004), Observation(120, 80, 1))
        inside += found.days[80].low <= truth <= found.days[80].high
    assert inside >= 34


def test_buyers_at_any_time_alone_are_no_decision():
    found = decision_of(made_up_waits(2, 20_000, 0.0, 12.0, 0.001), Observation(120, 80, 1))
    assert found.buyers > FEWEST_BUYERS
    assert not found.certain


def test_nobody_and_one_buyer_are_no_decision():
    nobody = decision_of(made_up_waits(2, 0, 0.0, 12.0, 0.001), Observation(60, 40, 1))
    assert (nobody.pairs, nobody.buyers, nobody.certain) == (0, 0, False)
    one = Waits(("c",), np.array([0]), np.array([7]), np.array([3.0]), np.array([True]))
    assert decision_of(one, Observation(60, 40, 1)).buyers == 1
    assert decision_of(one, Observation(60, 40, 1)).as_data()["days"]["80"]["value"] == 3.0


def test_the_curve_is_that_of_lifelines_and_resamples_lie_around_it():
    waits = made_up_waits(4, 3_000, 0.2, 8.0, 0.001)
    grid = np.unique(waits.days[waits.bought])
    mine = _kaplan_meier(waits, grid)
    twin = NelsonAalenFitter(nelson_aalen_smoothing=False).fit(waits.days, waits.bought)
    np.testing.assert_allclose(mine, twin.cumulative_hazard_at_times(grid), rtol=2e-2)
    draws = np.array(list(_resampled(waits, grid, 0)))
    np.testing.assert_allclose(draws.mean(axis=0)[50:], mine[50:], rtol=0.03)
    # Greenwood's formula for the log of a survival function.
    at_risk = (waits.days[:, None] >= grid).sum(axis=0)
    sold = (waits.days[waits.bought][:, None] == grid).sum(axis=0)
    greenwood = np.sqrt(np.cumsum(sold / at_risk / (at_risk - sold)))
    np.testing.assert_allclose(draws.std(axis=0)[50:], greenwood[50:], rtol=0.25)


def test_observation_grows_with_the_log_and_ends_at_half_a_year():
    assert observation_of(20.0) == Observation(10, 6, 5)
    assert observation_of(1.0) == Observation(6, 4, 1)
    assert observation_of(2_000.0) == Observation(180, 120, 60)


def shop(seed=0, users=9_000, days=240):
    """A log of two brands whose buyers decide at the pace of `TRUE_DAYS`, after one view."""
    rng = np.random.default_rng(seed)
    parts = []
    for brand, cycle in TRUE_DAYS.items():
        met = rng.uniform(0, days, users)
        late = np.where(rng.random(users) < 0.15, rng.exponential(cycle / np.log(5), users), np.inf)
        sold = met + np.minimum(late, rng.exponential(1 / 0.0002, users))
        for kind, at in (("product_view", met), ("purchase", sold)):
            there = np.flatnonzero(at < days)
            when = instants(START + (at[there] * DAY).astype("int64"))
            parts.append(
                pd.DataFrame({"user_id": [f"u{i}" for i in there], "brand_id": f"b_{brand}",
                              "category_id": brand, "kind": kind, "occurred_at": when})
            )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def shop_log():
    return shop()


def shop_brands(**columns):
    return pd.DataFrame({"brand_id": ["b_tea", "b_essence", "b_other"]} | columns)


def test_the_command_finds_the_cycles_of_a_shop(tmp_path, shop_log):
    config = written(tmp_path, shop_log)
    found = stagecast("cycles", config, "--json").json
    rows = {row["category"]: row for row in found["categories"]}
    for category, days in TRUE_DAYS.items():
        row = rows[category]
        assert row["from"] == "data"
        ends = row["beginnings"]["contact"]["days"]["80"]
        assert ends["low"] <= days <= ends["high"]
        assert row["cycle_days"] == pytest.approx(days, abs=max(2, 0.2 * days))
        # After one view nobody has an interest by the rules.
        assert row["beginnings"]["interest"]["from"] == "prior"
    assert found["written"] is None
    assert "essence" in stagecast("cycles", config).out


def test_what_comes_later_changes_nothing(tmp_path, shop_log):
    day = "2025-07-01"
    early = shop_log[shop_log.occurred_at < pd.Timestamp(day, tz="UTC")]
    whole = stagecast("cycles", written(tmp_path / "a", shop_log), "--as-of", day, "--json")
    part = stagecast("cycles", written(tmp_path / "b", early), "--as-of", day, "--json")
    assert whole.json == part.json


def test_where_the_log_is_thin_the_cycle_stays_what_it_was(tmp_path, shop_log):
    few = shop_log[shop_log.user_id.isin([f"u{i}" for i in range(200)])]
    brands = shop_brands(decision_cycle_days=[9, None, 8], category_id=["tea", "essence", "x"])
    found = stagecast("cycles", written(tmp_path, few, brands), "--json").json
    rows = {row["category"]: row for row in found["categories"]}
    assert {name: (row["from"], row["cycle_days"]) for name, row in rows.items()} == {
        "tea": ("prior", 9),
        "essence": ("prior", 30),
        "x": ("prior", 8),
    }


@pytest.mark.parametrize(
    ("buyers", "certain", "days", "cycle"),
    [
        (100, True, (20.2, 10, 30), 21),
        (99, True, (20.2, 10, 30), 9),
        (100, False, (20.2, 10, 30), 9),
        (100, True, (20.2, 9.9, 30), 9),
        (100, True, (40.0, 35, 60), 40),
        (100, True, (40.1, 35, 60), 9),
        (100, True, (39.0, 30, 80), 9),
        (100, True, (0.2, 0, 3), 1),
        (100, True, (0.2, 0, 3.1), 9),
    ],
)
def test_a_cycle_replaces_a_prior_only_where_it_is_known_well(buyers, certain, days, cycle):
    found = Decision(5_000, buyers, Estimate(0.1, 0.05, 0.2), {80: Estimate(*days)}, certain)
    row = CategoryCycle("tea", 3, 9, {"contact": found}, 80)
    assert row.cycle_days == cycle
    assert row.source == ("prior" if cycle == 9 else "data")


def test_settle_days_end_what_is_known_earlier(tmp_path, shop_log):
    late = stagecast("cycles", written(tmp_path / "a", shop_log), "--as-of", "2025-08-01", "--json")
    config = written(tmp_path / "b", shop_log, more="settle_days = 10")
    settled = stagecast("cycles", config, "--as-of", "2025-08-11", "--json")
    assert settled.json["categories"] == late.json["categories"]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_cycles_are_written_into_the_brands_table_and_read_from_there(tmp_path, shop_log, kind):
    config = written(tmp_path, shop_log, shop_brands())
    table = shop_brands(
        note=["first, with a comma", "second", ""],
        category_id=["tea", None, "other"],
        decision_cycle_days=[29, None, 44],
    )
    if kind == "csv":
        config.write_text(config.read_text().replace("brands.parquet", "brands.csv"))
        table.astype({"decision_cycle_days": "Int64"}).to_csv(tmp_path / "brands.csv", index=False)
    else:
        table.to_parquet(tmp_path / "brands.parquet", index=False)
    outcome = stagecast("cycles", config, "--write", "--json")
    found = {row["category"]: row["cycle_days"] for row in outcome.json["categories"]}
    assert outcome.json["written"]["changes"] == [
        {"category": "essence", "brands": 1, "before": None, "now": found["essence"]},
        {"category": "tea", "brands": 1, "before": 29, "now": found["tea"]},
    ]
    with load_configuration(config).dataset.open() as data:
        assert data.brands(KNOWN_TO).cycle() == {
            "b_tea": found["tea"],
            "b_essence": found["essence"],
            "b_other": 44,
        }
    read = pd.read_csv if kind == "csv" else pd.read_parquet
    after = read(tmp_path / f"brands.{kind}")
    assert list(after.columns) == list(table.columns)
    assert after.note.fillna("").tolist() == table.note.tolist()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *(["brands.csv"] * (kind == "csv")),
        "brands.parquet",
        "events.parquet",
        "stagecast.toml",
    ]
    again = stagecast("cycles", config, "--write", "--json")
    assert again.json["written"]["changes"] == []


def test_a_table_without_the_column_gets_it_and_ids_keep_their_type(tmp_path):
    path = tmp_path / "brands.parquet"
    pq.write_table(pa.table({"brand_id": pa.array([7, 8], pa.int32()), "name": ["a", "b"]}), path)
    log = pd.DataFrame({"user_id": "u", "brand_id": [7, 8], "category_id": ["tea", "x"],
                        "kind": "like", "occurred_at": instants([START] * 2)})  # fmt: skip
    log.to_parquet(tmp_path / "events.parquet", index=False)
    config = tmp_path / "stagecast.toml"
    config.write_text('[events]\npath = "events.parquet"\n[brands]\npath = "brands.parquet"\n')
    with load_configuration(config).dataset.open() as data:
        brands = data.brands(KNOWN_TO)
    found = write_cycles(path, brands, {"tea": 6})
    assert [vars(change) for change in found.changes] == [
        {"category": "tea", "brands": 1, "before": None, "now": 6}
    ]
    after = pq.read_table(path)
    assert after.to_pydict() == {
        "brand_id": [7, 8],
        "name": ["a", "b"],
        "decision_cycle_days": [6, None],
    }
    assert after.schema.field("brand_id").type == pa.int32()


def test_a_table_that_cannot_be_written_says_the_way_out(tmp_path, shop_log):
    config = written(tmp_path / "none", shop_log[:50])
    assert "names no brands table" in refusal("cycles", config, "--write")
    config = written(tmp_path / "folder", shop_log[:50], shop_brands())
    os.rename(config.parent / "brands.parquet", config.parent / "part.parquet")
    (config.parent / "brands.parquet").mkdir()
    os.rename(config.parent / "part.parquet", config.parent / "brands.parquet" / "part.parquet")
    assert "is a folder" in refusal("cycles", config, "--write")


def test_a_write_that_fails_leaves_the_table_as_it_was(tmp_path, shop_log, monkeypatch):
    config = written(tmp_path, shop_log[:50], shop_brands(category_id=["tea", "essence", "x"]))
    dataset = load_configuration(config).dataset
    path = brands_file(dataset.brands, dataset.folder)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with dataset.open() as data, pytest.raises(Exception, match="it is as it was"):
        write_cycles(path, data.brands(KNOWN_TO), {"tea": 3})
    assert path.read_bytes() == before
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_nothing_before_the_day_is_said(tmp_path, shop_log):
    config = written(tmp_path, shop_log[:50])
    assert "no event" in refusal("cycles", config, "--as-of", "2020-01-01")


def test_the_cycles_are_data_for_a_page(tmp_path, shop_log):
    with load_configuration(written(tmp_path, shop_log)).dataset.open() as data:
        found = decision_cycles(data, KNOWN_TO)
    assert found.beginnings == ("contact", "interest", "true_interest")
    assert [one.category for one in found.categories] == ["essence", "tea"]
