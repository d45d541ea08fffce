"""What another stage model would change: counted again pair by pair, in plain Python."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from features.brands import Brands
from stagecast.configuration import load_configuration
from tests.engines import stage_model
from tests.random_logs import DAY, START, micros, random_log
from tests.slow_twin import twin_values
from tests.worlds import refusal, stagecast
from training.stage_shift import default_instant

AS_OF = START + 320 * DAY
DATE = "2025-11-17"
CYCLES = {"b0": 5, "b1": 21, "b2": 70, "b3": 150}
BRANDS = Brands(tuple(CYCLES), ("c0", "c1", "c0", "c1"), tuple(CYCLES.values()), 30)


def written(folder, log, more=""):
    log.to_parquet(folder / "events.parquet", index=False)
    table = {"brand_id": BRANDS.brand_ids, "category_id": BRANDS.categories,
             "decision_cycle_days": BRANDS.cycles}  # fmt: skip
    pd.DataFrame(table).to_parquet(folder / "brands.parquet", index=False)
    config = folder / "stagecast.toml"
    config.write_text(
        f'[events]\npath = "events.parquet"\n{more}\n[brands]\npath = "brands.parquet"\n'
        "[engine]\nthreads = 1\n",
        encoding="utf-8",
    )
    return config


@pytest.fixture(scope="module")
def log():
    return random_log(4, n_events=1_500, n_users=25)


@pytest.fixture(scope="module")
def config(tmp_path_factory, log):
    return written(tmp_path_factory.mktemp("compare"), log)


def pairs_of(log, as_of):
    """All pairs with an event in the year before, and their first purchase from then on."""
    at = micros(log.occurred_at)
    branded = log.brand_id.notna()
    seen = log[branded & (at < as_of) & (at >= as_of - 365 * DAY)]
    later = log[branded & (at >= as_of) & (log.kind == "purchase")]
    first = later.assign(at=micros(later.occurred_at)).groupby(["user_id", "brand_id"])["at"].min()
    pairs = seen[["user_id", "brand_id"]].drop_duplicates().assign(as_of=as_of)
    bought = [first.get(key, np.inf) for key in zip(pairs.user_id, pairs.brand_id, strict=True)]
    return pairs.assign(bought=bought, cycle=pairs.brand_id.map(CYCLES))


@pytest.mark.parametrize("other", ["aipl", "sips"])
def test_pairs_stand_and_buy_as_a_count_by_hand_says(config, log, other):
    done = stagecast("compare-stages", config, "aips", other, "--as-of", DATE, "--json")
    assert done.code == 0, done.err
    pairs = pairs_of(log, AS_OF)
    models = [stage_model("aips"), stage_model(other)]
    stages = twin_values(log, pairs, BRANDS, stages=models).astype(int)
    moves = Counter(zip(stages["aips"], stages[other], strict=True))
    matrix = [
        [moves[low, high] for high in range(len(models[1].names))]
        for low in range(len(models[0].names))
    ]
    assert done.json["matrix"] == matrix
    assert done.json["pairs"] == len(pairs) == 100
    end = (micros(log.occurred_at).max() // DAY + 1) * DAY
    known = (AS_OF + pairs.cycle * DAY <= end).to_numpy()
    bought = known & (pairs.bought < AS_OF + pairs.cycle * DAY).to_numpy()
    assert 0 < bought.sum() < known.sum() < len(pairs)
    for side, model in zip("ab", models, strict=True):
        stage = stages[model.name].to_numpy()
        rows = done.json[side]["stages"]
        assert [row["stage"] for row in rows] == list(model.names)
        for level, row in enumerate(rows):
            there = stage == level
            counts = [int((there & of).sum()) for of in (True, known, bought)]
            assert [row["pairs"], row["known"], row["bought"]] == counts
            assert row["share"] == pytest.approx(there.mean())
            share = counts[2] / counts[1] if counts[1] else None
            assert row["buying_share"] == (share if share is None else pytest.approx(share))


def test_a_model_compared_with_itself_moves_nobody(config):
    done = stagecast("compare-stages", config, "aips", "aips", "--as-of", DATE, "--json")
    assert done.json["moved"] == 0
    assert done.json["a"] == done.json["b"]
    assert np.diag(done.json["matrix"]).sum() == done.json["pairs"]
    different = stagecast("compare-stages", config, "aips", "aipl", "--as-of", DATE, "--json")
    assert different.json["moved"] is None


def test_a_model_of_ones_own_is_a_path_from_where_one_is(config, tmp_path, monkeypatch):
    text = config.parents[0] / "strict.toml"
    stricter = stage_text().replace("within_days = 365", "within_days = 30")
    text.write_text(stricter, encoding="utf-8")
    monkeypatch.chdir(config.parent)
    done = stagecast("compare-stages", "stagecast.toml", "aipl", "strict.toml", "--as-of", DATE)
    assert done.code == 0, done.err
    assert f"100 pairs at {DATE} 00:00 UTC, by aipl and by strict.toml" in done.out
    assert "stand elsewhere by strict.toml" in done.out
    assert "for which it is over in the log" in done.out
    monkeypatch.chdir(tmp_path)
    assert "Stage model 'strict.toml' is neither shipped" in refusal(
        "compare-stages", config, "aipl", "strict.toml"
    )


def stage_text():
    from importlib import resources

    return (resources.files("features") / "stage_models" / "aipl.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("days", "settle", "expected"),
    [
        # Every cycle is over: 150 days, and the days that orders still take to arrive.
        (420, 0, 420 - 150),
        (420, 7, 420 - 157),
        # A log that is too short for that is cut in the middle.
        (200, 0, 100),
    ],
)
def test_without_a_day_the_last_one_is_taken_after_which_all_is_known(
    tmp_path, days, settle, expected
):
    log = random_log(5, n_events=400, days=days - 1)
    log.loc[0, "occurred_at"] = pd.Timestamp(START, unit="us", tz="UTC")
    log.loc[1, "occurred_at"] = pd.Timestamp(START + days * DAY - 1, unit="us", tz="UTC")
    config = written(tmp_path, log, f"settle_days = {settle}")
    with load_configuration(config).dataset.open() as data:
        assert default_instant(data) == START + expected * DAY
    zone = written(tmp_path, log, f'settle_days = {settle}\ntime_zone = "Asia/Shanghai"')
    with load_configuration(zone).dataset.open() as data:
        instant = default_instant(data)
    assert (instant - START) % DAY == 16 * DAY // 24
    assert abs(instant - START - expected * DAY) <= 2 * DAY


def test_a_day_before_the_log_has_nobody_to_compare(config):
    message = refusal("compare-stages", config, "aips", "aipl", "--as-of", "2001-01-01")
    assert "--as-of: no pair has an event in the 365 days before" in message
    later = stagecast("compare-stages", config, "aips", "aipl", "--as-of", "2026-06-01", "--json")
    assert {row["buying_share"] for row in later.json["a"]["stages"]} == {None}
