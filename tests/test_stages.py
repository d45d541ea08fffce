"""Stage model files: what they may say, what is refused and how, and what the shipped ones mean."""

import json
import tomllib
from importlib import resources
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.aggregates import Aggregate, Window
from features.brands import Brands
from features.errors import StageModelError
from features.stages import (
    Condition,
    Stage,
    StageModel,
    load_stage_model,
    parse_stage_model,
    shipped_stage_models,
)
from features.vocabulary import KINDS
from models.stage_outcomes import NextStage, possible_outcomes
from tests.engines import online_values, stage_model
from tests.random_logs import DAY, START, instants
from training.labels import outcome_number

# The names that columns bear: a contract with whoever reads the forecasts.
NAMES = {
    "aips": "awareness interest true_interest purchase share",
    "sips": "sympathize identify participate share",
    "aipl": "awareness interest purchase loyalty",
    "o5a": "a1 a2 a3 a4 a5",
    "jd4a": "aware appeal act advocate",
}
AS_OF = START + 400 * DAY
every_model = pytest.mark.parametrize("name", shipped_stage_models())


def rule(text):
    return f'[[stages]]\nname = "keen"\nany = [{text}]\n'


def stage(name, text):
    return rule(text).replace("keen", name)


def refusal(text):
    with pytest.raises(StageModelError) as caught:
        parse_stage_model(text, "mine")
    return str(caught.value)


def condition(text):
    (((found,),),) = [stage.rules for stage in parse_stage_model(rule(text), "mine").stages]
    return found


@every_model
def test_a_shipped_model_has_the_names_of_the_contract(name):
    model, text = load_stage_model(name, Path())
    assert model.name == name
    assert " ".join(model.names) == f"none {NAMES[name]}"
    assert parse_stage_model(text, "again") == model


@every_model
def test_a_shipped_model_says_where_it_comes_from_and_what_is_a_guess(name):
    text = (resources.files("features") / "stage_models" / f"{name}.toml").read_text("utf-8")
    data = tomllib.loads(text)
    assert data["title"]
    assert data["source"]
    assert all("guess" in row for row in data["stages"])


@every_model
def test_a_shipped_model_lets_nobody_who_did_nothing_stand_anywhere(name):
    assert stages_of(name) == ["none"]


@every_model
def test_each_stage_of_a_shipped_model_can_be_reached(name):
    model = stage_model(name)
    ways = [
        [
            deed
            for condition, kind in zip(rule, kinds, strict=True)
            for deed in deeds(condition, kind)
        ]
        for reached in model.stages
        for rule in reached.rules
        for kinds in product(*(condition.aggregate.kinds for condition in rule))
    ]
    assert set(stages_of_users(name, ways)) == set(model.names[1:])


def deeds(condition, kind):
    """What somebody does to meet a condition: (kind, days ago, brand)."""
    brand = None if condition.aggregate.unbranded else "b0"
    after = [(first, 25, brand) for first in condition.aggregate.after[:1]]
    return after + [(kind, 1 + number, brand) for number in range(condition.at_least)]


def stages_of(name, *acts, brand="b0"):
    """The stages of a pair that did the acts: each ``kind`` or ``(kind, days ago)``."""
    rows = [(act, 1) if isinstance(act, str) else act for act in acts]
    return stages_of_users(name, [[(*row, brand) for row in rows]])


def stages_of_users(name, deeds_of_users):
    rows = [(f"u{u}", *deed) for u, deeds in enumerate(deeds_of_users) for deed in deeds]
    log = pd.DataFrame(rows, columns=["user_id", "kind", "days", "brand_id"], dtype="str")
    log["occurred_at"] = instants([AS_OF - int(days * DAY) for _, _, days, _ in rows])
    log = log.assign(category_id=pd.Series(["c0"] * len(rows), dtype="str"), value=1.0)
    users = [f"u{u}" for u in range(len(deeds_of_users))]
    moments = pd.DataFrame({"user_id": users, "brand_id": "b0", "as_of": AS_OF})
    known = Brands(("b0",), ("c0",), (30,), 30)
    model = stage_model(name)
    found = online_values(log, moments, known, features=(), stages=model)
    return [model.names[index] for index in found["stage"]]


@pytest.mark.parametrize(
    ("acts", "stage"),
    [
        (["impression"], "awareness"),
        (["video_play"], "awareness"),
        ([("impression", 30)], "awareness"),
        ([("impression", 31)], "none"),
        (["note_read"], "interest"),
        (["search"], "interest"),
        (["like"], "interest"),
        (["collect"], "interest"),
        (["comment"], "interest"),
        (["share_note"], "interest"),
        (["add_to_cart"], "interest"),
        (["coupon_claim"], "interest"),
        ([("coupon_claim", 31)], "none"),
        (["product_view"], "awareness"),
        ([("video_play", 1), ("video_play", 3)], "interest"),
        ([("video_play", 1.5), ("video_play", 1.51)], "awareness"),
        (["search", "collect"], "true_interest"),
        ([("add_to_cart", 1), ("add_to_cart", 5)], "true_interest"),
        (["purchase"], "purchase"),
        ([("purchase", 180)], "purchase"),
        ([("purchase", 181)], "none"),
        ([("purchase", 5), ("publish_note", 2)], "share"),
        ([("purchase", 2), ("publish_note", 5)], "purchase"),
        ([("publish_note", 5)], "none"),
        (["purchase", "refund"], "purchase"),
        (["not_interested", "topic_join", "impression"], "interest"),
    ],
)
def test_aips_tells_where_somebody_stands(acts, stage):
    assert stages_of("aips", *acts) == [stage]


def test_a_search_for_the_category_speaks_for_a_brand_that_the_user_has_met():
    assert stages_of("aips", "search", brand=None) == ["none"]
    model = parse_stage_model(
        stage("met", '{ kinds = ["impression"] }')
        + stage("curious", '{ kinds = ["search"], scope = "category", unbranded = true }'),
        "mine",
    )
    assert model.stages[1].rules[0][0].aggregate.unbranded


def test_a_rule_is_one_event_of_its_kinds_in_thirty_days_unless_it_says_otherwise():
    assert condition('{ kinds = ["search"] }') == Condition(
        Aggregate("count", ("search",), "pair", Window(30)), 1
    )
    assert condition(
        '{ kinds = ["search", "like"], at_least = 3, within_days = 60, cycles = 2, '
        'at_most_days = 90, scope = "category", unbranded = true }'
    ) == Condition(
        Aggregate("count", ("search", "like"), "category", Window(60, 2, 90), unbranded=True), 3
    )
    assert condition('{ kinds = ["like"], on_days = 2, after = ["purchase"] }') == Condition(
        Aggregate("days", ("like",), "pair", Window(30), after=("purchase",)), 2
    )


def test_any_needs_one_of_its_rules_and_all_needs_each():
    searched, liked = (Aggregate("count", (kind,), window=Window(30)) for kind in KINDS[9:3:-5])
    both = '{ kinds = ["search"] }, { kinds = ["like"] }'
    for text, expected in {
        rule(both): [False, True, True, True],
        rule(both).replace("any", "all"): [False, False, False, True],
        rule(f"{{ all = [{both}] }}"): [False, False, False, True],
    }.items():
        (keen,) = parse_stage_model(text, "mine").stages
        assert keen.aggregates == (searched, liked)
        assert [keen.holds(values) for values in [(0, 0), (0, 1), (1, 0), (1, 1)]] == expected


def test_a_model_lists_what_its_rules_look_at_once():
    text = stage("low", '{ kinds = ["like"] }')
    text += stage("high", '{ kinds = ["like"], at_least = 2 }, { kinds = ["search"] }')
    model = parse_stage_model(text, "mine")
    assert [a.kinds for a in model.aggregates] == [("like",), ("search",)]
    assert model.names == ("none", "low", "high")
    assert (model.name, model.title, model.source) == ("mine", "mine", "")


def test_a_model_may_be_a_file_beside_the_configuration(tmp_path):
    text = 'name = "ours"\n' + rule('{ kinds = ["like"] }')
    (tmp_path / "ours.toml").write_text(text)
    model, found = load_stage_model("ours.toml", tmp_path)
    assert found == text
    assert model == StageModel(
        "ours", "ours.toml", "", (Stage("keen", "keen", ((condition('{ kinds = ["like"] }'),),)),)
    )


def test_a_model_that_is_nowhere_is_refused_with_what_there_is(tmp_path):
    with pytest.raises(StageModelError) as caught:
        load_stage_model("aisp", tmp_path)
    assert str(caught.value) == (
        f"Stage model 'aisp' is neither shipped ({', '.join(shipped_stage_models())}) nor a file "
        "that can be read (aisp: FileNotFoundError)."
    )


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_folder_or_a_file_that_is_no_text_is_refused(tmp_path, content):
    path = tmp_path / "model.toml"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(StageModelError, match="nor a file that can be read"):
        load_stage_model("model.toml", tmp_path)


KEEN = "Stage model mine, line 3, stage 'keen'"
LIKE = '{ kinds = ["like"] }'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x =", "Stage model mine: not TOML: Invalid value (at end of document)."),
        ("", "Stage model mine: it needs at least one [[stages]]."),
        ("stages = 5", "Stage model mine, line 1: it needs at least one [[stages]]."),
        ("stages = [5]", "Stage model mine, line 1: it needs at least one [[stages]]."),
        (
            f'[[stages]]\nname = "Keen"\nany = [{LIKE}]',
            "Stage model mine, line 2, stage 'Keen': a name has small letters, digits and _; "
            "it is a column.",
        ),
        (
            stage("none", LIKE),
            "Stage model mine, line 2, stage 'none': names must differ and not be 'none'; choose "
            "another.",
        ),
        (
            rule(LIKE) * 2,
            "Stage model mine, line 5, stage 'keen': names must differ and not be 'none'; choose "
            "another.",
        ),
        (
            '[[stages]]\nname = "keen"',
            "Stage model mine, line 1, stage 'keen': it needs a list of rules, either `any` or "
            "`all`.",
        ),
        (
            rule(LIKE) + f"all = [{LIKE}]",
            f"{KEEN}: it needs a list of rules, either `any` or `all`.",
        ),
        (
            '[[stages]]\nname = "keen"\nany = 5',
            f"{KEEN}: it needs a list of rules, either `any` or `all`.",
        ),
        (rule(""), f"{KEEN}: an empty list of rules; nobody could stand there."),
        (rule("{ all = [] }"), f"{KEEN}: an empty list of rules; nobody could stand there."),
        (rule("5"), f"{KEEN}: a rule needs `kinds`; found 5."),
        (rule("{ at_least = 2 }"), f"{KEEN}: a rule needs `kinds`; found {{'at_least': 2}}."),
        (rule("{ kinds = [] }"), f"{KEEN}: a rule needs `kinds`; found {{'kinds': []}}."),
        (
            rule('{ kinds = ["lick"] }'),
            f"{KEEN}: kinds: unknown kind 'lick'; the kinds are {', '.join(KINDS)}.",
        ),
        (
            rule('{ kinds = ["like"], after = ["bought"] }'),
            f"{KEEN}: after: unknown kind 'bought'; the kinds are {', '.join(KINDS)}.",
        ),
        (
            rule('{ kinds = ["like"], at_leest = 2 }'),
            f"{KEEN}: unknown key 'at_leest'; what is known here: after, at_least, at_most_days, "
            "cycles, guess, kinds, on_days, scope, unbranded, within_days.",
        ),
        (
            rule('{ all = [{ kinds = ["like"] }], at_least = 2 }'),
            f"{KEEN}: unknown key 'at_least'; what is known here: all.",
        ),
        (
            rule('{ kinds = ["like"], at_least = 2, on_days = 2 }'),
            f"{KEEN}: give `at_least` or `on_days` in one rule; use `all`.",
        ),
        (
            rule('{ kinds = ["like"], at_least = 0 }'),
            f"{KEEN}: at_least = 0; it must be a whole number >= 1.",
        ),
        (
            rule('{ kinds = ["like"], at_least = 1.5 }'),
            f"{KEEN}: at_least = 1.5; it must be a whole number >= 1.",
        ),
        (
            rule('{ kinds = ["like"], at_least = true }'),
            f"{KEEN}: at_least = True; it must be a whole number >= 1.",
        ),
        (
            rule('{ kinds = ["like"], within_days = "30" }'),
            f"{KEEN}: within_days = '30'; it must be a whole number from 1 to 365.",
        ),
        (
            rule('{ kinds = ["like"], cycles = -1 }'),
            f"{KEEN}: cycles = -1; it must be a whole number >= 0.",
        ),
        (
            rule('{ kinds = ["like"], within_days = 366 }'),
            f"{KEEN}: within_days = 366; it must be a whole number from 1 to 365.",
        ),
        (
            rule('{ kinds = ["like"], cycles = 1, at_most_days = 20 }'),
            f"{KEEN}: at_most_days = 20 is less than within_days = 30; write a smaller "
            "within_days.",
        ),
        (
            rule('{ kinds = ["like"], on_days = 31 }'),
            f"{KEEN}: on_days = 31 is more than the window's 30 days.",
        ),
        (
            rule('{ kinds = ["like"], on_days = 61, cycles = 2, at_most_days = 60 }'),
            f"{KEEN}: on_days = 61 is more than the window's 60 days.",
        ),
        (
            rule('{ kinds = ["search"], scope = "user", unbranded = "no" }'),
            f"{KEEN}: unbranded = 'no'; it must be true or false.",
        ),
        (rule("{ all = 5 }"), f"{KEEN}: all = 5; it must be a list of rules."),
        (
            rule("{ kinds = 5 }"),
            f"{KEEN}: kinds = 5; it must be a list of kinds, like ['impression'].",
        ),
        (
            rule('{ kinds = "like" }'),
            f"{KEEN}: kinds = 'like'; it must be a list of kinds, like ['impression'].",
        ),
        (
            rule('{ kinds = ["like"], after = "purchase" }'),
            f"{KEEN}: after = 'purchase'; it must be a list of kinds, like ['impression'].",
        ),
        (
            rule('{ kinds = ["like"], after = 5 }'),
            f"{KEEN}: after = 5; it must be a list of kinds, like ['impression'].",
        ),
        (
            rule("{ kinds = [5] }"),
            f"{KEEN}: kinds: unknown kind 5; the kinds are {', '.join(KINDS)}.",
        ),
        (
            rule('{ kinds = ["like"], scope = [] }'),
            f"{KEEN}: scope []; the scopes are pair, category and user.",
        ),
        (
            rule('{ kinds = ["like"], scope = "world" }'),
            f"{KEEN}: scope 'world'; the scopes are pair, category and user.",
        ),
        (
            rule('{ kinds = ["search"], unbranded = true }'),
            f"{KEEN}: Events without a brand belong to no pair: use scope 'category'.",
        ),
        (
            rule('{ kinds = ["like"], scope = "user", after = ["purchase"] }'),
            f"{KEEN}: 'after' looks at the events of one pair: use scope 'pair'.",
        ),
        (
            'horizon = 7\n' + rule(LIKE),
            "Stage model mine, line 1: unknown key 'horizon'; what is known here: name, returns, "
            "source, stages, title.",
        ),
        (
            rule(LIKE) + "rank = 7",
            "Stage model mine, line 4, stage 'keen': unknown key 'rank'; what is known here: all, "
            "any, guess, name, title.",
        ),
        (
            stage("low", LIKE) + stage("high", LIKE),
            "Stage model mine, line 1, stage 'low': nobody can stand here, since 'high' holds "
            "wherever this does, and the highest wins. Let 'high' ask for more, or put it first.",
        ),
        (
            stage("low", LIKE) + stage("high", LIKE + ', { kinds = ["search"] }'),
            "Stage model mine, line 1, stage 'low': nobody can stand here, since 'high' holds "
            "wherever this does, and the highest wins. Let 'high' ask for more, or put it first.",
        ),
    ],
)  # fmt: skip
def test_a_broken_model_is_refused_in_words(text, says):
    assert refusal(text) == says


@pytest.mark.parametrize(
    ("low", "high", "covered"),
    [
        ('kinds = ["like"]', 'kinds = ["like", "search"]', True),
        ('kinds = ["like", "search"]', 'kinds = ["like"]', False),
        ('kinds = ["like"]', 'kinds = ["like"], within_days = 60', True),
        ('kinds = ["like"]', 'kinds = ["like"], within_days = 7', False),
        ('kinds = ["like"], at_least = 2', 'kinds = ["like"]', True),
        ('kinds = ["like"]', 'kinds = ["like"], at_least = 2', False),
        ('kinds = ["like"], on_days = 2', 'kinds = ["like"], at_least = 2', True),
        ('kinds = ["like"], at_least = 2', 'kinds = ["like"], on_days = 2', False),
        ('kinds = ["like"], at_least = 2', 'kinds = ["like"], on_days = 1', True),
        ('kinds = ["like"]', 'kinds = ["like"], cycles = 2', True),
        ('kinds = ["like"], cycles = 2', 'kinds = ["like"]', False),
        ('kinds = ["like"]', 'kinds = ["like"], scope = "user"', True),
        ('kinds = ["like"]', 'kinds = ["like"], scope = "category"', False),
        ('kinds = ["like"], scope = "user"', 'kinds = ["like"]', False),
        ('kinds = ["like"], after = ["purchase"]', 'kinds = ["like"]', True),
        ('kinds = ["like"]', 'kinds = ["like"], after = ["purchase"]', False),
        (
            'kinds = ["like"], after = ["purchase"]',
            'kinds = ["like"], after = ["purchase", "refund"]',
            True,
        ),
        (
            'kinds = ["search"], scope = "user", unbranded = true',
            'kinds = ["search"], scope = "user"',
            True,
        ),
        (
            'kinds = ["search"], scope = "user"',
            'kinds = ["search"], scope = "user", unbranded = true',
            False,
        ),
        ('all = [{ kinds = ["like"] }, { kinds = ["search"] }]', 'kinds = ["like"]', True),
        ('kinds = ["like"]', 'all = [{ kinds = ["like"] }, { kinds = ["search"] }]', False),
    ],
)
def test_a_stage_that_a_higher_one_covers_is_refused_and_no_other(low, high, covered):
    text = stage("low", f"{{ {low} }}") + stage("high", f"{{ {high} }}")
    if covered:
        assert "stage 'low': nobody can stand here, since 'high' holds" in refusal(text)
    else:
        assert parse_stage_model(text, "mine").names == ("none", "low", "high")


# --- lines ----------------------------------------------------------------------------------------

LONG = """\
# Our own rules: "stages = [" is no key here.
name = "ours"
title = '''
[[stages]]
'''

[[stages]]
name = "seen"
any = [
    { kinds = ["impression"] },  # } ]
]

[[stages]]
name = "wanted"
any = [
    { kinds = ["search"] },
    { all = [
        { kinds = ["search"], scope = "user" },
        { kinds = [
            "collect",
            "comment",
        ], within_days = 30 },
    ] },
]
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('"comment",', '"coment",', 21, "stage 'wanted': kinds: unknown kind 'coment'; the kinds"),
        ("within_days = 30", "within_days = 0", 22, "within_days = 0; it must be a whole number"),
        ("within_days = 30", "within = 30", 22, "unknown key 'within'; what is known here:"),
        ('scope = "user"', 'scope = "world"', 18, "scope 'world'; the scopes are"),
        ('kinds = ["search"] }', "kinds = [] }", 16, "a rule needs `kinds`"),
        ('name = "wanted"', 'name = "seen"', 14, "stage 'seen': names must differ"),
        ('name = "wanted"', "", 13, "stage '': a name has small letters"),
        ('name = "seen"', 'name = "seen"\nguess = "yes"', 9, "guess = 'yes'; it must be true or"),
        ('name = "seen"', 'name = "seen"\nreturns = []', 9,
         "unknown key 'returns'; it belongs to the file: write it above the first [[stages]]."),
        ("{ all = [", "{ any = [", 17, "stage 'wanted': a rule needs `kinds`"),
    ],
)  # fmt: skip
def test_an_error_names_the_line_where_it_stands(old, new, line, says):
    assert parse_stage_model(LONG, "mine").names == ("none", "seen", "wanted")
    message = refusal(LONG.replace(old, new))
    assert message.startswith(f"Stage model mine, line {line}, stage ")
    assert says in message


def test_a_text_that_is_no_toml_has_its_line_from_tomllib():
    assert "not TOML:" in refusal(LONG.replace('name = "wanted"', "name ="))
    assert "(at line 14, column" in refusal(LONG.replace('name = "wanted"', "name ="))


# --- returns --------------------------------------------------------------------------------------

KIND_OF = {"low": "like", "mid": "search", "top": "comment"}
CYCLE = "".join(stage(name, f'{{ kinds = ["{kind}"] }}') for name, kind in KIND_OF.items())


def test_a_return_edge_counts_as_next():
    model = parse_stage_model('returns = [{ from = "top", to = "low" }]\n' + CYCLE, "mine")
    assert model.returns == ((3, 1),)
    assert parse_stage_model(CYCLE, "mine").returns == ()
    assert stage_model("sips").returns == ((4, 1),)
    stages = np.array([3, 3, 3, 3, 2, 1, 0])
    after = np.array([1, 2, 0, 3, 1, 3, 2])
    assert outcome_number(stages, after, 3, model.returns).tolist() == [1, 4, 4, 0, 4, 3, 2]
    assert outcome_number(stages, after, 3).tolist() == [4, 4, 4, 0, 4, 3, 2]
    possible = possible_outcomes(3, model.returns)
    assert possible[3].tolist() == [True, True, False, False, True]
    assert (possible != possible_outcomes(3)).sum() == 1


def test_a_release_keeps_the_return_edges():
    model = NextStage(3, (7, 30), returns=((3, 1),))
    X = np.zeros((40, 1))
    stage, outcome = np.full(40, 3), np.tile([1, 4], 20)
    model.fit(X, stage, np.full(40, 5.0), outcome, np.ones(40), np.full(40, 90.0))
    texts = {name: trees.text() for name, trees in model.trees_.items()}
    again = NextStage.from_dict(json.loads(json.dumps(model.to_dict())), texts, threads=1)
    assert again.returns == ((3, 1),)
    found = again.predict_outcomes(X[:1], stage[:1], [30])[0, 0]
    assert found[1] == pytest.approx(found[4]) == pytest.approx(0.5, abs=0.1)
    assert found[2] == found[3] == 0.0


@pytest.mark.parametrize(
    ("returns", "says"),
    [
        ("5", "line 1: returns = 5; write [{ from = \"top\", to = \"low\" }]."),
        ("[5]", "line 1: returns = [5]; write [{ from"),
        ('[{ from = "top", to = "lowest" }]', "line 1: returns: to = 'lowest' is no stage; the "
         "stages are low, mid, top."),
        ('[{ from = "top" }]', "line 1: returns: to = None is no stage"),
        ('[{ from = "top", to = "low", x = 1 }]', "line 1: unknown key 'x'; what is known here: "
         "from, to."),
        ('[{ from = "low", to = "top" }]', "line 1: returns: 'top' is not below 'low'; a higher "
         "stage counts as next without it."),
        ('[{ from = "low", to = "low" }]', "line 1: returns: 'low' is not below 'low'"),
    ],
)  # fmt: skip
def test_a_return_edge_that_leads_nowhere_is_refused(returns, says):
    assert f"Stage model mine, {says}" in refusal(f"returns = {returns}\n{CYCLE}")


@pytest.mark.parametrize(
    ("name", "acts", "stage"),
    [
        ("sips", ["impression"], "none"),
        ("sips", ["like"], "sympathize"),
        ("sips", ["follow"], "identify"),
        ("sips", ["topic_join"], "participate"),
        ("sips", [("purchase", 30)], "participate"),
        ("sips", [("purchase", 31), "like"], "sympathize"),
        ("sips", ["share_note", "purchase"], "share"),
        ("o5a", ["impression"], "a1"),
        ("o5a", ["comment"], "a2"),
        ("o5a", ["store_visit"], "a3"),
        ("o5a", [("purchase", 300)], "a4"),
        ("o5a", [("purchase", 300), "purchase"], "a5"),
        ("o5a", ["purchase", "purchase"], "a4"),
        ("jd4a", ["product_view"], "aware"),
        ("jd4a", [("product_view", 1), ("product_view", 5)], "appeal"),
        ("jd4a", ["add_to_cart"], "appeal"),
        ("jd4a", ["purchase"], "act"),
        ("jd4a", [("purchase", 100), ("purchase", 3)], "advocate"),
        ("jd4a", [("purchase", 9), ("share_note", 3)], "advocate"),
        ("jd4a", [("purchase", 3), ("share_note", 9)], "act"),
    ],
)
def test_the_sister_models_tell_where_somebody_stands(name, acts, stage):
    assert stages_of(name, *acts) == [stage]
