"""What the catalogue declares: names that say what they are, and declarations that can be kept."""

import json
import re
from collections import Counter
from itertools import chain
from typing import get_args

import pytest

from features.aggregates import Aggregate, Window
from features.catalogue import catalogue, find_features
from features.context import Context
from features.errors import FeatureError
from features.feature import Feature, Group, in_order
from features.formula import Formula
from features.nouns import WHATS
from features.vocabulary import KIND_CODE, KINDS, kind_mask

COUNTED = [feature for feature in catalogue() if isinstance(feature.source, Aggregate)]
DERIVED = [feature for feature in catalogue() if isinstance(feature.source, Formula)]
every_feature = pytest.mark.parametrize("feature", catalogue())
STATISTICS = {
    "sum": "value_sum", "days": "days", "streak": "streak_days", "gap": "gap_days",
    "sessions": "sessions",
}  # fmt: skip


def stored():
    return json.loads(json.dumps([feature.as_data() for feature in catalogue()]))


def test_no_name_stands_twice():
    names = Counter(feature.name for feature in catalogue())
    assert [name for name, times in names.items() if times > 1] == []


def test_no_number_is_declared_twice():
    declared = Counter(feature.source for feature in catalogue())
    assert [source for source, times in declared.items() if times > 1] == []


@every_feature
def test_a_name_can_be_a_column_and_is_no_riddle(feature):
    assert re.fullmatch(r"[a-z][a-z0-9_]*", feature.name)
    assert feature.name not in ("recency", "frequency", "monetary")


@every_feature
def test_a_feature_is_told_to_people(feature):
    assert feature.sentence[0].isupper()
    assert not feature.sentence.endswith(".")
    assert feature.unit in ("count", "days", "amount", "ratio", "number")
    assert feature.group in get_args(Group)
    assert feature.unknown in ("0", "missing", "follows its parts", "never unknown")


@pytest.mark.parametrize("feature", COUNTED)
def test_a_name_says_window_scope_and_unit_of_its_aggregate(feature):
    source = feature.source
    ending = "" if source.scope == "pair" or source.others else f"_{source.scope}"
    assert feature.name.startswith("rival_") == source.others
    assert feature.name.endswith(ending)
    bare = feature.name.removesuffix(ending)
    if source.how in ("last", "first"):
        assert bare.startswith(f"days_since_{source.how}_")
    elif source.how == "decayed":
        cycles = {"quarter_cycle": 0.25, "one_cycle": 1.0, "two_cycles": 2.0, "four_cycles": 4.0}
        assert cycles[bare.split("_decayed_")[1]] == source.half_life_cycles
    else:
        assert bare.endswith(f"_{source.window.days}d")
    assert STATISTICS.get(source.how, "") in bare
    in_days = ("days", "streak", "gap", "last", "first")
    assert (
        feature.unit
        == ("days" if source.how in in_days else "count", "amount")[source.how == "sum"]
    )
    assert feature.unknown == ("missing" if source.how in ("last", "first", "gap") else "0")


@pytest.mark.parametrize("feature", COUNTED)
def test_a_feature_counts_the_kinds_of_its_noun(feature):
    nouns = [what for what, kinds in WHATS.items() if set(kinds) == set(feature.source.kinds)]
    words = {what: (what, what.removesuffix("s"), what.removesuffix("es")) for what in nouns}
    words |= {what: (*spelt, "active", "order", "sessions", "gap") for what, spelt in words.items()}
    assert any(word in feature.name for word in chain.from_iterable(words.values()))


@pytest.mark.parametrize("feature", DERIVED)
def test_a_formula_is_made_of_features_and_of_no_circle(feature):
    sources = {f.name: f.source for f in catalogue()}
    seen, waiting = set(), list(feature.source.names)
    while waiting:
        name = waiting.pop()
        assert name != feature.name
        if name not in seen and isinstance(sources[name], Formula):
            waiting += sources[name].names
        seen.add(name)


def test_every_kind_of_event_is_seen_by_some_feature():
    assert set(chain.from_iterable(feature.source.kinds for feature in COUNTED)) == set(KINDS)
    assert set(chain.from_iterable(WHATS.values())) == set(KINDS)


def test_every_signal_that_marketers_ask_for_has_features():
    groups = Counter(feature.group for feature in catalogue())
    assert min(groups[g] for g in get_args(Group) if g != "profile") >= 4
    assert {feature.source.scope for feature in COUNTED} == {"pair", "category", "user"}


def test_the_kinds_stand_in_the_order_of_the_contract():
    assert " ".join(KINDS) == (
        "impression note_read note_bounce video_play like collect comment share_note follow "
        "search store_visit product_view add_to_cart coupon_claim purchase refund publish_note "
        "topic_join not_interested"
    )
    assert [KIND_CODE[kind] for kind in KINDS] == list(range(19))
    assert kind_mask(("impression", "note_bounce")) == 0b101


def formulas(**texts):
    return [Feature(name, "search", "ratio", "", Formula(text)) for name, text in texts.items()]


def test_formulas_stand_after_those_that_they_are_made_of():
    count = Feature("n", "search", "count", "", Aggregate("count", ("search",)))
    ordered = in_order([*formulas(a="b / c", b="c + n", c="n / 2"), count])
    assert [name for name, _ in ordered] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ({"a": "b + 1", "b": "c", "c": "b / 2"}, "in a circle: b, c."),
        ({"a": "a + 1"}, "in a circle: a."),
        ({"a": "b + 1", "b": "unheard"}, "b: its formula names 'unheard', which is no feature."),
    ],
)
def test_formulas_that_never_end_or_name_nothing_are_refused(texts, says):
    with pytest.raises(FeatureError, match=re.escape(says)):
        in_order(formulas(**texts))


def test_a_stored_catalogue_finds_its_features_again():
    assert find_features(stored(), Context()) == catalogue()
    assert find_features(list(reversed(stored())), Context()) == tuple(reversed(catalogue()))
    assert find_features([], Context()) == ()


def test_a_feature_that_is_gone_or_declared_otherwise_is_named():
    rows = stored()[:3]
    rows[0]["name"] = "horoscope_30d"
    rows[1]["aggregate"]["window"]["days"] = 31
    with pytest.raises(FeatureError) as caught:
        find_features(rows, Context())
    assert str(caught.value) == (
        "The features differ from those of this version: not in the catalogue: "
        f"['horoscope_30d']; declared otherwise: ['{rows[1]['name']}']."
    )


def test_a_changed_formula_is_declared_otherwise():
    (row,) = [row for row in stored() if row["name"] == "search_share_30d"]
    with pytest.raises(FeatureError, match=r"declared otherwise: \['search_share_30d'\]"):
        find_features([row | {"formula": "searches_30d / 2"}], Context())


@pytest.mark.parametrize(
    ("window", "says"),
    [
        ({"days": 0}, "A window of 0 to 365 days: windows are 1 to 365 days long"),
        ({"days": 366}, "A window of 366 to 365 days"),
        ({"days": 30, "at_most": 20}, "A window of 30 to 20 days"),
        ({"days": 30, "cycles": 1, "at_most": 400}, "A window of 30 to 400 days"),
        ({"cycles": -1}, "what is older is unknown"),
    ],
)
def test_a_window_that_no_history_covers_is_refused(window, says):
    with pytest.raises(FeatureError, match=says):
        Window(**window)


@pytest.mark.parametrize(
    ("declaration", "says"),
    [
        ({"how": "count", "kinds": ("yawn",)}, r"count of \('yawn',\): unknown \['yawn'\]"),
        ({"how": "count", "kinds": ("search",), "after": ("yawn",)}, r"unknown \['yawn'\]"),
        ({"how": "days", "kinds": ()}, "days of no kinds"),
        ({"how": "decayed", "kinds": ("search",)}, "needs half_life_cycles exactly if"),
        (
            {"how": "count", "kinds": ("search",), "half_life_cycles": 1.0},
            "A count needs half_life_cycles exactly if it is decayed",
        ),
        ({"how": "count", "kinds": ("search",), "unbranded": True}, "use scope 'category'"),
        ({"how": "count", "kinds": ("search",), "others": True}, "outside the pair: use"),
        (
            {"how": "streak", "kinds": ("search",), "since": ("purchase",)},
            "'since' is for counts, sums, last and first of one scope",
        ),
        (
            {
                "how": "count",
                "kinds": ("search",),
                "scope": "category",
                "others": True,
                "unbranded": True,
            },
            "Events of other brands have one",
        ),
        (
            {"how": "count", "kinds": ("search",), "scope": "user", "after": ("purchase",)},
            "'after' looks at the events of one pair: use scope 'pair'",
        ),
    ],
)
def test_an_aggregate_that_no_engine_could_compute_is_refused(declaration, says):
    with pytest.raises(FeatureError, match=says):
        Aggregate(**declaration)


@pytest.mark.parametrize(
    ("source", "follows", "unknown"),
    [
        (Aggregate("count", ("search",)), False, 0.0),
        (Aggregate("count", ("search",), window=Window(30, cycles=1)), True, 0.0),
        (Aggregate("decayed", ("search",), half_life_cycles=0.25), True, 0.0),
        (Aggregate("last", ("search",)), False, None),
    ],
)
def test_an_aggregate_knows_what_it_depends_on_and_what_nothing_means(source, follows, unknown):
    assert source.follows_cycle is follows
    assert source.unknown == unknown
    assert json.loads(json.dumps(source.as_data()))["how"] == source.how


def test_a_feature_of_each_source_can_be_stored():
    made = [
        Feature("a_30d", "search", "count", "", Aggregate("count", ("search",), window=Window(30))),
        Feature("b", "search", "ratio", "", Formula("a_30d / 2")),
        Feature("c", "profile", "days", "", "decision_cycle_days"),
    ]
    data = [feature.as_data() for feature in made]
    assert data[0]["aggregate"]["window"] == {"days": 30, "cycles": 0, "at_most": 365}
    assert data[1] == {"name": "b", "formula": "a_30d / 2"}
    assert data[2] == {"name": "c", "column": "decision_cycle_days"}
