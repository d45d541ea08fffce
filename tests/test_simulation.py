"""The simulated world: the same for the same seed, plausible in time, and true to its truth."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.errors import ConfigError
from features.vocabulary import COLUMNS, KIND_CODE, KINDS
from stagecast.simulation import SimulationSummary, history, simulate
from stagecast.simulation import stages_of_world as stages
from stagecast.simulation.history import Span
from stagecast.simulation.truth import Moment, Rerun
from stagecast.simulation.world import (
    BRAND_CATEGORY,
    CATEGORIES,
    CYCLES,
    LATE_BRAND,
    brand_ids,
    drawn_world,
)

DAY = 86_400_000_000
HOURS_8 = 8 * 3_600_000_000
HORIZONS = (7, 14, 30, 60, 90)
DEEP_ACTS = ("collect", "comment", "share_note", "product_view", "add_to_cart")


@dataclasses.dataclass(frozen=True)
class SimulatedWorld:
    folder: Path
    summary: SimulationSummary
    events: pd.DataFrame
    truth: pd.DataFrame


def read(path: Path) -> pd.DataFrame:
    return pq.read_table(path).to_pandas()


def simulated(folder: Path, users: int, days: int, pairs: int, replicas: int) -> SimulatedWorld:
    summary = simulate(folder, users, days, seed=11, truth_pairs=pairs, replicas=replicas)
    return SimulatedWorld(
        folder, summary, read(folder / "events.parquet"), read(folder / "truth.parquet")
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SimulatedWorld:
    return simulated(tmp_path_factory.mktemp("world") / "small", 400, 120, 100, 20)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> SimulatedWorld:
    return simulated(tmp_path_factory.mktemp("world") / "large", 4_000, 270, 2_000, 20)


def content(events: pd.DataFrame) -> pd.DataFrame:
    columns = [name for name in COLUMNS if name != "event_id"]
    return events[columns].reset_index(drop=True)


def microseconds(instants: pd.Series) -> np.ndarray:
    return instants.astype("datetime64[us, UTC]").astype("int64").to_numpy()


def test_the_same_seed_gives_the_same_world_twice(small: SimulatedWorld, tmp_path: Path) -> None:
    simulate(tmp_path / "again", 400, 120, seed=11, truth_pairs=100, replicas=20)
    for name in ("events", "users", "brands", "truth"):
        first, second = small.folder / f"{name}.parquet", tmp_path / "again" / f"{name}.parquet"
        assert first.read_bytes() == second.read_bytes(), name


def test_another_seed_gives_another_world(small: SimulatedWorld, tmp_path: Path) -> None:
    simulate(tmp_path / "other", 400, 120, seed=12)
    assert not content(read(tmp_path / "other" / "events.parquet")).equals(content(small.events))


def test_a_user_lives_the_same_life_in_a_smaller_world(
    small: SimulatedWorld, tmp_path: Path
) -> None:
    simulate(tmp_path / "few", 90, 120, seed=11)
    few, many = read(tmp_path / "few" / "events.parquet"), small.events
    pd.testing.assert_frame_equal(content(few), content(many[many.user_id <= "u0000089"]))


def test_blocks_of_days_and_full_buffers_change_nothing(
    small: SimulatedWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "USER_DAYS_A_BLOCK", 400 * 7)
    monkeypatch.setattr(history, "CAPACITY", 1)
    simulate(tmp_path / "blocks", 400, 120, seed=11)
    pd.testing.assert_frame_equal(read(tmp_path / "blocks" / "events.parquet"), small.events)


def test_the_truth_does_not_depend_on_what_else_is_asked(
    small: SimulatedWorld, tmp_path: Path
) -> None:
    simulate(tmp_path / "few", 400, 120, seed=11, truth_pairs=10, replicas=20)
    few = read(tmp_path / "few" / "truth.parquet")
    both = few.merge(small.truth, how="left", indicator=True)
    midnights = both[both.moment == "midnight"]
    assert len(midnights) > 0
    assert (midnights._merge == "both").all()


def test_the_log_has_the_canonical_columns_and_order(small: SimulatedWorld) -> None:
    events = small.events
    assert tuple(events.columns) == COLUMNS
    assert str(events.occurred_at.dtype) == "datetime64[us, UTC]"
    assert events.event_id.is_unique
    assert events.user_id.notna().all()
    order = pd.DataFrame(
        {"at": events.occurred_at, "kind": events.kind.map(KIND_CODE), "event_id": events.event_id}
    )
    pd.testing.assert_frame_equal(order, order.sort_values(["at", "kind", "event_id"]))
    assert events.occurred_at.min() >= small.summary.first_midnight
    assert events.occurred_at.max() < small.summary.last_midnight


def test_every_kind_occurs_and_impressions_prevail(small: SimulatedWorld) -> None:
    counts = small.events.kind.value_counts()
    assert set(counts.index) == set(KINDS)
    assert 0.78 < counts["impression"] / counts.sum() < 0.92
    assert counts.to_dict() == small.summary.rows_by_kind
    assert counts.sum() == small.summary.rows


def test_people_use_their_telephones_at_noon_and_in_the_evening(large: SimulatedWorld) -> None:
    local = (microseconds(large.events.occurred_at) + HOURS_8) // 3_600_000_000 % 24
    by_hour = np.bincount(local, minlength=24)
    assert by_hour[[12, 18, 21]].min() > 2 * by_hour[[2, 3, 4, 15]].max()


def test_a_brand_is_not_heard_of_before_its_launch(small: SimulatedWorld) -> None:
    late = small.events[small.events.brand_id == brand_ids()[LATE_BRAND]]
    first = (late.occurred_at.min() - small.summary.first_midnight).days
    assert 42 <= first < 60


def test_users_join_while_the_log_runs_and_fall_silent(large: SimulatedWorld) -> None:
    seen = large.events.groupby("user_id").occurred_at.agg(["min", "max"])
    half = (
        large.summary.first_midnight
        + (large.summary.last_midnight - large.summary.first_midnight) / 2
    )
    assert (seen["min"] > half).mean() > 0.05
    assert (seen["max"] < half).mean() > 0.05


def before(
    events: pd.DataFrame, later: tuple[str, ...], earlier: tuple[str, ...], within: str
) -> float:
    """Return the share of `later` events that follow an `earlier` one of the pair in time."""
    events = events[events.brand_id.notna()]
    follows = pd.merge_asof(
        events[events.kind.isin(later)],
        events[events.kind.isin(earlier)].assign(cause=1),
        on="occurred_at",
        by=["user_id", "brand_id"],
        tolerance=pd.Timedelta(within),
    )
    return float(follows.cause.notna().mean())


def test_what_follows_comes_after_what_it_follows(large: SimulatedWorld) -> None:
    events = large.events
    opened = ("note_read", "note_bounce", "video_play")
    assert before(events, opened, ("impression",), "1h") == 1
    assert (
        before(
            events,
            ("like", "collect", "comment", "share_note", "follow"),
            ("note_read", "video_play"),
            "1h",
        )
        == 1
    )
    assert before(events, ("add_to_cart",), ("product_view",), "2h") == 1
    assert before(events, ("coupon_claim",), ("product_view",), "2h") == 1
    # Some refunds are of purchases before the log.
    assert before(events, ("refund",), ("purchase",), "120D") > 0.98
    assert before(events, ("product_view",), ("search", "impression"), "30D") > 0.9
    # Some buy in other shops, and their orders are reported here.
    assert 0.6 < before(events, ("purchase",), ("product_view",), "2h") < 0.95
    # Users also write about what they bought elsewhere, and creators about what they only read of.
    assert 0.45 < before(events, ("publish_note",), ("purchase",), "120D") < 1


def test_dear_decisions_take_longer_than_quick_ones(large: SimulatedWorld) -> None:
    events = large.events[large.events.brand_id.notna()]
    pair = ["user_id", "brand_id"]
    first_act = events[events.kind.isin(DEEP_ACTS)].groupby(pair).occurred_at.min()
    first_order = events[events.kind == "purchase"].groupby(pair).occurred_at.min()
    # Earlier first acts are often of people who had the product before the log.
    first_act = first_act[first_act > large.summary.first_midnight + pd.Timedelta("90D")]
    days = (first_order - first_act).dropna().dt.total_seconds() / 86_400
    brands = read(large.folder / "brands.parquet").set_index("brand_id").decision_cycle_days
    cycle = brands.loc[days.index.get_level_values("brand_id")].to_numpy()
    cycle, days = cycle[days >= 0], days[days >= 0]
    quick, middle, slow = days[cycle == 5], days[cycle == 21], days[cycle >= 29]
    assert quick.median() < 1 < middle.median() < 5 < slow.median()
    assert (slow < 1 / 12).mean() < 0.35 < (quick < 1 / 12).mean()


def test_the_first_weeks_are_like_the_others(large: SimulatedWorld) -> None:
    day = (large.events.occurred_at - large.summary.first_midnight).dt.days
    fortnight = day // 14
    acts = large.events.kind.isin(["search", "product_view", "note_read", "video_play"])
    a_user = acts.groupby(fortnight).sum() / large.events.groupby(fortnight).user_id.nunique()
    assert a_user[0] == pytest.approx(a_user[1:10].mean(), rel=0.3)


def test_only_purchases_and_refunds_have_values(small: SimulatedWorld) -> None:
    is_valued = small.events.kind.isin(["purchase", "refund"])
    assert (small.events.value[is_valued] > 0).all()
    assert small.events.value[~is_valued].isna().all()


def test_a_category_search_has_a_category_and_no_brand(small: SimulatedWorld) -> None:
    unbranded = small.events[small.events.brand_id.isna()]
    assert len(unbranded) > 0
    assert set(unbranded.kind) == {"search"}
    assert set(unbranded.category_id) <= set(CATEGORIES)


def test_notes_have_channels_and_five_videos_for_two_pictures(large: SimulatedWorld) -> None:
    met = large.events[large.events.kind == "impression"]
    assert met.channel.nunique() == 10
    formats = met.note_format.value_counts()
    assert 1.7 < formats["video"] / formats["picture"] < 3.7
    assert 0.02 < met.campaign_id.notna().mean() < 0.3


def test_the_tables_fit_the_log(small: SimulatedWorld) -> None:
    users, brands = read(small.folder / "users.parquet"), read(small.folder / "brands.parquet")
    assert len(users) == 400
    assert set(small.events.user_id) <= set(users.user_id)
    assert 0.6 < (users.gender == "female").mean() < 0.85
    assert users.age_band.isna().any()
    assert list(brands.brand_id) == list(brand_ids())
    assert set(brands.decision_cycle_days) == set(CYCLES)


def test_the_truth_is_made_of_probabilities(large: SimulatedWorld) -> None:
    truth = large.truth
    purchase = truth[[f"p_purchase_{x}d" for x in HORIZONS]].to_numpy()
    assert (np.diff(purchase, axis=1) >= 0).all()
    assert ((purchase >= 0) & (purchase <= 1)).all()
    for x in HORIZONS:
        outcomes = [f"p_next_{stage}_{x}d" for stage in stages.STAGES]
        outcomes += [f"p_lapse_{x}d", f"p_stay_{x}d"]
        total = truth[outcomes].sum(axis=1)
        np.testing.assert_allclose(total, 1.0, atol=1e-12)
    assert (np.diff(truth[[f"p_stay_{x}d" for x in HORIZONS]], axis=1) <= 0).all()
    assert not truth.duplicated(["user_id", "brand_id", "as_of"]).any()
    assert (truth.replicas == 20).all()


def test_the_truth_asks_at_midnights_after_acts_and_of_strangers(large: SimulatedWorld) -> None:
    shares = large.truth.moment.value_counts(normalize=True)
    assert shares["midnight"] == pytest.approx(0.7, abs=0.05)
    assert shares["never_met"] == pytest.approx(0.1, abs=0.05)
    assert shares["after_act"] == pytest.approx(0.2, abs=0.05)
    at_midnight = large.truth[large.truth.moment != "after_act"]
    assert (at_midnight.as_of == large.summary.as_of).all()
    past = large.events[large.events.occurred_at < large.summary.as_of]
    met = set(zip(past.user_id, past.brand_id, strict=True))
    for label, expected in (("midnight", True), ("never_met", False)):
        rows = large.truth[large.truth.moment == label]
        for pair in zip(rows.user_id, rows.brand_id, strict=True):
            assert (pair in met) is expected, (label, pair)


def test_a_moment_after_an_act_is_just_after_it_and_sittings_go_on(large: SimulatedWorld) -> None:
    asked = large.truth[large.truth.moment == "after_act"].reset_index(drop=True)
    deep = large.events[large.events.kind.isin(DEEP_ACTS)][["user_id", "brand_id", "occurred_at"]]
    acts = deep.assign(as_of=deep.occurred_at + pd.Timedelta("1us")).drop_duplicates()
    assert len(asked.merge(acts, on=["user_id", "brand_id", "as_of"])) == len(asked)
    later = large.events[["user_id", "occurred_at"]].merge(
        asked[["user_id", "as_of"]].reset_index()
    )
    soon = (later.occurred_at >= later.as_of) & (
        later.occurred_at < later.as_of + pd.Timedelta("5min")
    )
    assert 0.3 < later["index"][soon].nunique() / len(asked) < 1


@pytest.mark.parametrize("user", [3, 57, 210, 301])
def test_a_life_forks_at_the_act_and_not_before(small: SimulatedWorld, user: int) -> None:
    rerun = Rerun(drawn_world(11, 120), 120)
    start = int(small.summary.first_midnight.timestamp()) * 1_000_000
    found = rerun.deep_act(user, start, 120)
    if found is None:
        return
    day, acts, brand = found
    moment = Moment(user, brand, day, acts, "after_act")
    life, past, as_of = rerun.relive(moment)
    log = small.events[small.events.user_id == f"u{user:07d}"]
    at = microseconds(log.occurred_at)
    assert past["at"].tolist() == at[at < as_of].tolist()
    futures = []
    for replica in rerun.futures(life, moment, as_of, 5):
        rerun.live(np.array([replica]), Span(day, day + 40))
        rows = rerun.written()
        is_past = rows["at"] < as_of
        assert rows["at"][is_past].tolist() == past["at"][past["at"] >= start + day * DAY].tolist()
        futures.append(tuple(rows["at"][~is_past]))
    assert len(set(futures)) == 5


@pytest.mark.parametrize("user", [3, 57, 210])
def test_a_life_that_is_lived_again_from_a_midnight_repeats_the_log(
    small: SimulatedWorld, user: int
) -> None:
    rerun = Rerun(drawn_world(11, 120), 120)
    life, past, as_of = rerun.relive(Moment(user, 0, 80, 0, "midnight"))
    rerun.live(life, Span(80, 120))
    again = np.concatenate([past["at"], rerun.written()["at"]])
    events = small.events[small.events.user_id == f"u{user:07d}"]
    assert (past["at"] < as_of).all()
    assert (rerun.written()["at"] >= as_of).all()
    assert again.tolist() == microseconds(events.occurred_at).tolist()


def assert_agrees(happened: np.ndarray, probability: np.ndarray, replicas: int) -> None:
    """Compare a count with its expectation; both the log and the replicas are draws."""
    variance = (probability * (1 - probability)).sum() * (1 + 1 / replicas)
    # A probability that was never seen in few replicas is not nothing.
    error = np.sqrt(variance * replicas / (replicas - 1) + 1)
    assert abs(happened.sum() - probability.sum()) < 4 * error


@pytest.mark.parametrize("moment", ["midnight", "after_act", "never_met"])
def test_what_happened_agrees_with_the_truth_of_purchases(
    large: SimulatedWorld, moment: str
) -> None:
    truth = large.truth[large.truth.moment == moment].reset_index()
    purchases = large.events[large.events.kind == "purchase"][
        ["user_id", "brand_id", "occurred_at"]
    ]
    both = truth.merge(purchases, on=["user_id", "brand_id"])
    wait = both.occurred_at - both.as_of
    for x in HORIZONS:
        hits = both["index"][(wait >= pd.Timedelta(0)) & (wait < pd.Timedelta(days=x))]
        assert_agrees(
            truth["index"].isin(hits).to_numpy(), truth[f"p_purchase_{x}d"].to_numpy(), 20
        )


def stage_path(rows: list[tuple[int, int, bool]], as_of: int, start: int, held: int) -> list[int]:
    """Return the stages at as_of + 0, 1, ... 90 days, as the world reckons."""
    marks, path, place = stages.blank_marks(), [], 0
    for ahead in range(91):
        while place < len(rows) and rows[place][0] < as_of + ahead * DAY:
            at, kind, branded = rows[place]
            stages.folded(marks, kind, at, branded, start)
            place += 1
        path.append(stages.stage_at(marks, as_of + ahead * DAY, held))
    return path


def observed_paths(world: SimulatedWorld, truth: pd.DataFrame) -> list[list[int]]:
    """Return the stage paths that the log shows after these moments."""
    events = world.events
    log = list(
        zip(
            microseconds(events.occurred_at).tolist(),
            events.kind.map(KIND_CODE),
            events.brand_id,
            events.category_id,
            strict=True,
        )
    )
    of_user = events.groupby("user_id").indices
    start = int(world.summary.first_midnight.timestamp()) * 1_000_000
    paths = []
    for user, brand, as_of in zip(
        truth.user_id, truth.brand_id, microseconds(truth.as_of), strict=True
    ):
        category = BRAND_CATEGORY[brand_ids().index(brand)]
        rows = [
            (at, kind, isinstance(of, str))
            for at, kind, of, about in (log[n] for n in of_user[user])
            if of == brand or (not isinstance(of, str) and about == CATEGORIES[category])
        ]
        paths.append(stage_path(rows, int(as_of), start, stages.purchase_days(CYCLES[category])))
    return paths


def test_what_happened_agrees_with_the_truth_of_next_stages(large: SimulatedWorld) -> None:
    truth = large.truth.iloc[::2].reset_index(drop=True)
    paths = observed_paths(large, truth)
    for x in (7, 30, 90):
        first = [
            next((stage for stage in path[1 : x + 1] if stage != path[0]), path[0])
            for path in paths
        ]
        outcome = np.array(
            [
                (
                    "stay"
                    if now == path[0]
                    else "lapse"
                    if now < path[0]
                    else f"next_{stages.STAGES[now - 1]}"
                )
                for now, path in zip(first, paths, strict=True)
            ]
        )
        for name in ("stay", "lapse", *(f"next_{stage}" for stage in stages.STAGES)):
            assert_agrees(outcome == name, truth[f"p_{name}_{x}d"].to_numpy(), 20)


def naive_stage(rows: list[tuple[int, str, bool]], as_of: int, held_days: int) -> int:
    """Return the stage by reading all events anew."""

    def last(kinds: str, days: int, branded: bool = True) -> list[tuple[int, int]]:
        return [
            (n, at)
            for n, (at, kind, is_branded) in enumerate(rows)
            if kind in kinds.split() and is_branded is branded and as_of - days * DAY <= at < as_of
        ]

    def on_days(kinds: str) -> int:
        return len({(at + HOURS_8) // DAY for _, at in last(kinds, 30)})

    met = "impression note_read note_bounce video_play store_visit product_view"
    deep = "collect comment share_note product_view add_to_cart"
    bought = last("purchase", 365)
    holds = [
        bool(last(met, 30)),
        bool(
            last(
                "note_read like collect comment share_note follow search add_to_cart "
                "coupon_claim topic_join",
                30,
            )
        )
        or on_days("video_play store_visit product_view") >= 2
        or bool(last(met, 30) and last("search", 30, branded=False)),
        bool(last("search", 30) and last(deep, 30)) or on_days(deep) >= 2,
        bool(last("purchase", held_days)),
        any(note > order for note, _ in last("publish_note", 180) for order, _ in bought),
    ]
    return max((n + 1 for n, held in enumerate(holds) if held), default=0)


def test_the_worlds_stages_are_those_of_a_slow_twin() -> None:
    rng = np.random.default_rng(5)
    start, seen = 1_735_660_800_000_000, set()
    for _ in range(300):
        days = rng.choice([0, 15, 30, 180, 365, 366])
        at = np.sort(start + rng.integers(0, 8 + 2 * days, rng.integers(0, 9)) * (DAY // 2))
        kinds = rng.choice(KINDS, len(at))
        branded = (kinds != "search") | (rng.random(len(at)) < 0.5)
        rows = [(int(a), str(k), bool(b)) for a, k, b in zip(at, kinds, branded, strict=True)]
        as_of = int(start + days * DAY + rng.integers(0, 16) * (DAY // 2))
        marks = stages.blank_marks()
        for instant, kind, is_branded in rows:
            if instant < as_of:
                stages.folded(marks, KIND_CODE[kind], instant, is_branded, start)
        stage = stages.stage_at(marks, as_of, 180)
        assert stage == naive_stage(rows, as_of, 180), (rows, as_of)
        seen.add(stage)
    assert seen == {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"users": 0}, "--users 0: it must be a whole number from 1"),
        ({"days": 0}, "--days 0: it must be"),
        ({"seed": -1}, "--seed -1: it must be"),
        ({"replicas": 0}, "--replicas 0: it must be"),
        ({"days": 20, "truth_pairs": 5}, "needs a past and a future"),
    ],
)
def test_a_world_that_cannot_be_is_refused(
    tmp_path: Path, options: dict[str, int], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        simulate(tmp_path / "world", **options)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_other_files_is_refused_and_a_former_world_replaced(tmp_path: Path) -> None:
    simulate(tmp_path, 5, 3)
    simulate(tmp_path, 6, 3)
    assert len(read(tmp_path / "users.parquet")) == 6
    (tmp_path / "mlflow.db").touch()
    with pytest.raises(ConfigError, match=r"mlflow\.db"):
        simulate(tmp_path, 7, 3)
    assert len(read(tmp_path / "users.parquet")) == 6


def test_a_world_may_be_a_single_user_and_day_without_events(tmp_path: Path) -> None:
    summary = simulate(tmp_path / "one", 1, 1)
    assert summary.users == 1
    assert len(read(tmp_path / "one" / "events.parquet")) == summary.rows


def test_progress_is_told_in_tenths(tmp_path: Path) -> None:
    lines: list[str] = []
    simulate(tmp_path / "world", 40, 60, truth_pairs=5, replicas=2, progress=lines.append)
    assert lines[-1] == "truth: 100 %"
    assert "events: 100 %" in lines
