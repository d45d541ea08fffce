"""Receipts: they see what the engines see, their instants are exact, their words are plain."""

from random import Random
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features.receipts import Event, PairMoment, stage_receipt
from features.stages import parse_stage_model, shipped_stage_models
from tests.engines import online_values, stage_model
from tests.random_logs import DAY, START, instants, known_brands, micros, random_world
from tests.slow_twin import twin_values
from tests.worlds import refusal, stagecast

# Every word that a rule can say.
MINE = """
returns = [{ from = "high", to = "low" }]
[[stages]]
name = "low"
any = [
    { kinds = ["impression", "note_read"], on_days = 2, within_days = 7 },
    { all = [
        { kinds = ["search"], scope = "category", unbranded = true, within_days = 90 },
        { kinds = ["like"], at_least = 2, within_days = 1, cycles = 1, at_most_days = 90 },
    ] },
    { kinds = ["video_play"], within_days = 365 },
]
[[stages]]
name = "middle"
any = [
    { kinds = ["collect", "follow"], at_least = 3, scope = "user", within_days = 90 },
    { kinds = ["search", "product_view"], on_days = 3, scope = "category", within_days = 180 },
]
[[stages]]
name = "high"
all = [
    { kinds = ["purchase", "refund"], at_least = 2, after = ["impression", "purchase"] },
    { kinds = ["purchase", "refund"], within_days = 3 },
]
"""
MODELS = [*map(stage_model, shipped_stage_models()), parse_stage_model(MINE, "mine")]
every_model = pytest.mark.parametrize("model", MODELS)
seeds = st.integers(0, 10_000)
few = settings(max_examples=15, derandomize=True)


def events_of(log, brands, zone, user):
    """The user's events in plain form."""
    rows = log[log.user_id == user]
    day = rows.occurred_at.dt.tz_convert(ZoneInfo(zone)).dt.tz_localize(None).dt.normalize()
    return [
        Event(at, kind, brand, own or brands.category().get(brand), local.toordinal())
        for at, kind, brand, own, local in zip(
            micros(rows.occurred_at).tolist(), rows.kind, rows.brand_id.replace({np.nan: None}),
            rows.category_id.replace({np.nan: None}), day, strict=True,
        )
    ]  # fmt: skip


def moment_of(brands, brand, as_of):
    cycle = brands.cycle().get(brand, brands.default_cycle)
    return PairMoment(brand, brands.category().get(brand), cycle, int(as_of))


def receipts_of(world, model):
    """The receipt of each moment of a world, with its user's events."""
    for user, brand, as_of in world.moments.itertuples(index=False):
        events = events_of(world.log, world.brands, world.zone, user)
        yield user, events, stage_receipt(events, model, moment_of(world.brands, brand, as_of))


@every_model
@pytest.mark.parametrize("seed", [1, 2])
def test_a_receipt_sees_the_stage_that_the_engine_sees(seed, model):
    world = random_world(seed, n_events=600, n_moments=120)
    engine = online_values(world.log, world.moments, world.brands, zone=world.zone, features=(),
                           stages=model)  # fmt: skip
    found = [receipt.stage for _, _, receipt in receipts_of(world, model)]
    assert found == engine["stage"].tolist()
    assert len(set(found)) > 2


@few
@given(seeds, st.sampled_from(MODELS))
def test_a_receipt_sees_the_stage_that_slow_arithmetic_sees(seed, model):
    world = random_world(seed, n_events=150, n_moments=20)
    twin = twin_values(world.log, world.moments, world.brands, zone=world.zone, stages=(model,))
    found = [receipt.stage for _, _, receipt in receipts_of(world, model)]
    assert found == twin[model.name].astype(int).tolist()


@every_model
def test_the_instants_of_a_lapse_are_the_engines_to_the_microsecond(model):
    world = random_world(3, n_events=900, n_moments=60)
    logs, asked, expected = [], [], []
    for number, (user, _, receipt) in enumerate(receipts_of(world, model)):
        moment = receipt.moment
        # Nothing more happens: each moment has a user of its own, who stops at as_of.
        past = (world.log.user_id == user) & (micros(world.log.occurred_at) < moment.as_of)
        logs.append(world.log[past].assign(user_id=f"m{number}", event_id=None))
        stage, since = receipt.stage, moment.as_of
        for fall in (*receipt.lapses, None):
            until = since + 400 * DAY if fall is None else fall.at
            # The stage stands to the last microsecond, and half way there.
            for at in (since, (since + until) // 2, until - 1):
                asked.append((f"m{number}", moment.brand_id, at))
                expected.append(stage)
            if fall is not None:
                stage, since = model.names.index(fall.stage), fall.at
        assert stage == 0
    log = pd.concat(logs, ignore_index=True)
    moments = pd.DataFrame(asked, columns=["user_id", "brand_id", "as_of"])
    found = online_values(log, moments, world.brands, zone=world.zone, features=(), stages=model)
    assert found["stage"].tolist() == expected
    assert len(asked) > 3 * world.moments.shape[0]


def deeds_for(one, moment, number, first):
    """Events for a condition just before the moment, each on a day of its own."""
    aggregate = one.condition.aggregate
    brand = None if aggregate.unbranded else moment.brand_id
    kinds = [*aggregate.after[:1] * (first and not one.started), *aggregate.kinds[:1] * number]
    return [
        Event(moment.as_of - len(kinds) + i, kind, brand, moment.category_id, 900_000 + i)
        for i, kind in enumerate(kinds)
    ]


def holds(receipt, stage, rule):
    """Whether a rule of a stage holds in another receipt."""
    (found,) = (again for again in receipt.stages if again.stage == stage)
    conditions = [one.condition for one in rule.evidence]
    return conditions in [[one.condition for one in again.evidence] for again in found.holding]


@few
@given(seeds, st.sampled_from(MODELS))
def test_what_is_missing_is_enough_and_one_less_is_not(seed, model):
    world = random_world(seed, n_events=300, n_moments=20)
    for _, events, receipt in receipts_of(world, model):
        moment = receipt.moment
        ways_up = [(higher.stage, rule) for higher in receipt.higher for rule in higher.others]
        for stage, rule in ways_up if moment.category_id else ():
            lacking = [one for one in rule.evidence if one.missing]
            enough = [deed for one in lacking for deed in deeds_for(one, moment, one.missing, True)]
            assert holds(stage_receipt(events + enough, model, moment), stage, rule)
            if len(lacking) == 1:
                (one,) = lacking
                less = deeds_for(one, moment, one.missing - 1, True)
                assert not holds(stage_receipt(events + less, model, moment), stage, rule)
                late = deeds_for(one, moment, one.missing, False)
                fits = holds(stage_receipt(events + late, model, moment), stage, rule)
                assert fits == one.started


@few
@example(1087, Random(0))
@given(seeds, st.randoms(use_true_random=False))
def test_order_and_what_comes_later_change_nothing(seed, random):
    world = random_world(seed, n_events=150, n_moments=10)
    for _, events, receipt in receipts_of(world, MODELS[-1]):
        mixed = [event for event in events if event.occurred_at < receipt.moment.as_of]
        random.shuffle(mixed)
        again = stage_receipt(mixed, MODELS[-1], receipt.moment)
        assert again.stage == receipt.stage
        assert again.lapses == receipt.lapses
        assert [h.others for h in again.higher] == [h.others for h in receipt.higher]


AS_OF = START + 100 * DAY
PAIR = PairMoment("b", "c", 30, AS_OF)


def deed(kind, days, brand="b"):
    at = AS_OF - int(days * DAY)
    return Event(at, kind, brand, "c", at // DAY, "feed_ad")


def test_a_receipt_says_what_counts_what_is_missing_and_when_the_pair_falls():
    deeds = [deed("impression", 1), deed("search", 20), deed("search", 2), deed("search", 40)]
    receipt = stage_receipt(deeds, stage_model("aips"), PAIR)
    assert receipt.title == "Interest"
    ((searched,),) = (rule.evidence for rule in receipt.because)
    assert (searched.found, searched.events) == (2, (deeds[2], deeds[1]))
    assert searched.until == AS_OF + 28 * DAY
    assert [(fall.at, fall.title) for fall in receipt.lapses] == [
        (AS_OF + 28 * DAY + 1, "Awareness"), (AS_OF + 29 * DAY + 1, "none"),
    ]  # fmt: skip
    words = {h.stage.name: [rule.missing_words for rule in h.others] for h in receipt.higher}
    deep = "collect, comment, shared note, product view or cart addition"
    deeps = "collects, comments, shared notes, product views or cart additions"
    assert words == {
        "true_interest": [[f"1 {deep} within 30 days"], [f"{deeps} on 2 days within 30 days"]],
        "purchase": [["1 purchase within 180 days"]],
        "share": [
            ["1 own note after a purchase within 180 days (no purchase in the last 365 days)"]
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "deeds", "words"),
    [
        ('kinds = ["search"], at_least = 3', ["search"], "2 more searches within 30 days"),
        ('kinds = ["search"], at_least = 2', ["search"], "1 more search within 30 days"),
        ('kinds = ["search"], on_days = 3', ["search", "search"],
         "searches on 2 more days within 30 days"),
        ('kinds = ["search"], within_days = 1', [], "1 search within 1 day"),
        ('kinds = ["search"], cycles = 2', [], "1 search within 60 days"),
        ('kinds = ["search"], scope = "category", unbranded = true', ["search"],
         "1 search in the category without a brand within 30 days"),
        ('kinds = ["search"], scope = "user"', [], "1 search with any brand within 30 days"),
        ('kinds = ["like"], after = ["impression", "purchase"]', ["purchase"],
         "1 like after an impression or a purchase within 30 days"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_in_counts_and_days(rule, deeds, words):
    model = parse_stage_model(f'[[stages]]\nname = "keen"\nany = [{{ {rule} }}]', "mine")
    receipt = stage_receipt([deed(kind, 1) for kind in deeds], model, PAIR)
    assert receipt.stage == 0
    ((found,),) = (rule.missing_words for rule in receipt.higher[0].others)
    assert found == words


def test_a_fall_along_a_return_edge_goes_on():
    deeds = [deed("share_note", 20), deed("note_read", 2)]
    receipt = stage_receipt(deeds, stage_model("sips"), PAIR)
    assert receipt.title == "Share & Spread"
    assert [(fall.stage, fall.returns) for fall in receipt.lapses] == [
        ("sympathize", True), ("none", False),
    ]  # fmt: skip
    assert receipt.higher == ()


def test_a_stranger_stands_nowhere_and_falls_nowhere():
    receipt = stage_receipt([], stage_model("aips"), PAIR)
    assert (receipt.stage, receipt.title, receipt.because, receipt.lapses) == (0, "none", (), ())
    assert [higher.stage.name for higher in receipt.higher] == list(stage_model("aips").names[1:])


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("log")
    rows = [("1", "7", "impression", 1, "koc"), ("1", "7", "search", 20, None),
            *[("2", "7", "impression", 3 + i, None) for i in range(8)]]  # fmt: skip
    log = pd.DataFrame(rows, columns=["user_id", "brand_id", "kind", "days", "channel"])
    log = log.assign(occurred_at=instants(AS_OF - log.pop("days") * DAY))
    log.to_parquet(folder / "events.parquet", index=False)
    (folder / "stagecast.toml").write_text(
        '[events]\npath = "events.parquet"\ntime_zone = "Asia/Shanghai"\n[engine]\nthreads = 1\n',
        encoding="utf-8",
    )
    return folder / "stagecast.toml"


def test_explain_stage_tells_people_in_the_logs_time_zone(config):
    done = stagecast("explain-stage", config, "--user", 1, "--brand", 7)
    assert done.code == 0, done.err
    shown = " ".join(done.out.split())
    assert "User 1 and brand 7: Interest at 2025-04-11 00:00 Asia/Shanghai" in shown
    assert "2025-03-22 08:00 search" in shown
    assert "Purchase 1 purchase within 180 days" in shown
    assert "2025-04-21 08:00 Awareness" in shown
    many = stagecast("explain-stage", config, "--user", 2, "--brand", 7).out
    assert "found 8" in many
    assert "and 3 earlier" in many
    later = stagecast("explain-stage", config, "--user", 2, "--brand", 7, "--as-of", "2025-09-01")
    assert "No rule holds: the last event of the pair is of 2025-04-08 08:00." in later.out


def test_explain_stage_tells_programs_in_utc(config):
    done = stagecast("explain-stage", config, "--user", 1, "--brand", 7, "--as-of",
                     "2025-04-01", "--json")  # fmt: skip
    assert done.json == {
        "user": "1", "model": "aips", "brand": "7", "as_of": "2025-03-31T16:00:00+00:00",
        "decision_cycle_days": 30, "stage": "interest",
        "because": done.json["because"], "higher": done.json["higher"],
        "lapses": [{"at": "2025-04-21T00:00:00.000001+00:00", "stage": "none", "returns": False}],
    }  # fmt: skip
    (((why,),),) = (done.json["because"],)
    assert why.pop("rule").startswith("1 note read, like, collect")
    assert why == {
        "needed": 1, "found": 1, "missing": 0, "missing_words": None, "days": 30,
        "until": "2025-04-21T00:00:00+00:00",
        "events": [
            {"kind": "search", "occurred_at": "2025-03-22T00:00:00+00:00", "channel": None}
        ],
    }  # fmt: skip
    assert [higher["stage"] for higher in done.json["higher"]] == [
        "true_interest", "purchase", "share",
    ]  # fmt: skip
    ((bought,),) = done.json["higher"][1]["rules"]
    assert (bought["missing"], bought["missing_words"]) == (1, "1 purchase within 180 days")


def test_who_and_what_is_not_in_the_log_is_named_kindly(config):
    assert "--user: '9' has no event before 2025-04-11 00:00; give an id" in refusal(
        "explain-stage", config, "--user", 9, "--brand", 7
    )
    assert "--brand: '77' is not known before --as-of; there is '7', for example." in refusal(
        "explain-stage", config, "--user", 1, "--brand", 77
    )
    assert "--as-of: 'soon' is no date" in refusal(
        "explain-stage", config, "--user", 1, "--brand", 7, "--as-of", "soon"
    )


def test_a_brand_without_a_category_is_explained_too():
    brands = known_brands()
    moment = moment_of(brands, "b3", AS_OF)
    assert moment.category_id is None
    model = parse_stage_model(MINE, "mine")
    strangers = [Event(AS_OF - 1, "search", None, None, 0)] * 9
    assert stage_receipt(strangers, model, moment).stage == 0
