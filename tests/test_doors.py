"""Every door of a running service leads to one room: the same bytes, refusals too."""

import asyncio
import itertools
import json
from collections import Counter
from dataclasses import dataclass

import httpx
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.decision_log import secret_path
from serving.pseudonyms import read_pseudonyms
from tests.faults import EXAMPLES, record
from tests.services import Service, serving
from tests.worlds import TrainedWorld, stagecast

PAIR = ["u0000001", "b01"]


@dataclass(frozen=True)
class Served(Service):
    world: TrainedWorld

    def post(self, path, body, **more):
        return self.client.post(path, json=body, **more)


@pytest.fixture(scope="module")
def service(world, tmp_path_factory):
    mine = world.copied_to(tmp_path_factory.mktemp("doors") / "a copy")
    done = stagecast("ingest", mine.config, mine.folder / "events.parquet")
    assert done.code == 0, done.err
    (mine.folder / "opt_outs.txt").write_text("u0000003\n", encoding="utf-8")
    with serving(mine.config, 'decisions = "decisions"\n') as running:
        yield Served(running.process, running.log, running.client, mine)


@pytest.fixture(scope="module")
def pairs(service):
    log = pd.read_parquet(service.world.folder / "events.parquet")
    met = log[["user_id", "brand_id"]].dropna().drop_duplicates().sample(90, random_state=4)
    strangers = [["a stranger", "b01"], ["u0000001", "unheard of"], ["u0000003", "b01"]]
    return met.to_numpy().tolist() + strangers


def both(service, path, body):
    """The answers of the typed door and of the fast one, which are the same bytes."""
    typed, fast = service.post(path, body), service.post(f"/fast{path}", body)
    assert typed.status_code == fast.status_code, (typed.text, fast.text)
    assert typed.content == fast.content
    assert typed.headers["content-type"] == fast.headers["content-type"]
    return typed


def test_both_doors_give_the_same_bytes(service, pairs):
    for more in ({}, {"horizons": [1, 45]}, {"outputs": ["value"]}, {"request_id": "é"}):
        found = both(service, "/v1/score", {"pairs": pairs, "as_of": service.world.as_of} | more)
        assert found.status_code == 200
        assert len(found.json()["status"]) == len(pairs)


def test_both_doors_bid_the_same(service, pairs):
    for more in ({}, {"horizon": 20, "pacing": 0.5, "bounds": [0.01, 2]}):
        asked = {"pairs": pairs, "as_of": service.world.as_of, "target": {"cost_per_order": 40}}
        found = both(service, "/v1/bid", asked | more)
        assert found.status_code == 200, found.text


@pytest.mark.parametrize(
    "body",
    [
        {}, [], "text", None, 7, {"pairs": []}, {"pairs": [PAIR] * 513}, {"pairs": [["u1"]]},
        {"pairs": [PAIR], "horizons": [0]}, {"pairs": [PAIR], "horizons": [91]},
        {"pairs": [PAIR], "horizons": [10**9]}, {"pairs": [PAIR], "horizons": []},
        {"pairs": [PAIR], "as_of": "soon"}, {"pairs": [PAIR], "as_of": "1999-01-01"},
        {"pairs": [PAIR], "outputs": ["weather"]}, {"pairs": [PAIR], "horizon": [7]},
        {"pairs": [PAIR], "deadline_ms": 0},
    ],
)  # fmt: skip
def test_both_doors_refuse_in_the_same_words(service, body):
    found = both(service, "/v1/score", body)
    assert 400 <= found.status_code < 500
    assert found.headers["content-type"] == "application/problem+json"
    problem = found.json()
    assert problem["status"] == found.status_code
    assert problem["detail"]


BROKEN = [
    b"", b"{", b'{"pairs": [["u", "b"]]', b'{"pairs": [["\\ud800", "b"]]}', b'{"pairs": NaN}',
    b'{"pairs": [["u", "b"]], "pairs": []}', b"\xff\xfe", b'{"pairs": [["u", "b"]]} {}',
    b"[[[[[[[[[[",
]  # fmt: skip


@pytest.mark.parametrize("body", BROKEN)
def test_broken_json_is_refused_by_both_doors(service, body):
    headers = {"content-type": "application/json"}
    found = [
        service.client.post(path, content=body, headers=headers)
        for path in ("/v1/score", "/fast/v1/score")
    ]
    assert found[0].status_code == found[1].status_code
    assert 400 <= found[0].status_code < 500
    assert found[0].content == found[1].content
    assert found[0].headers["content-type"] == "application/problem+json"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)
fields = st.sampled_from(
    ["pairs", "pair", "horizons", "outputs", "as_of", "request_id", "target", "bounds", "pacing",
     "horizon", "deadline_ms"]
)  # fmt: skip


@pytest.mark.fault
def test_whatever_comes_gets_the_same_answer_at_both_doors_and_never_an_error(service):
    answers = Counter()

    @settings(
        max_examples=6 * EXAMPLES, derandomize=True, suppress_health_check=list(HealthCheck),
        deadline=None,
    )  # fmt: skip
    @given(st.sampled_from(["/v1/score", "/v1/bid"]), st.dictionaries(fields, anything, max_size=6))
    def asked(path, body):
        text = json.dumps(body | ({"pairs": [PAIR]} if "pairs" not in body else {}))
        headers = {"content-type": "application/json"}
        typed = service.client.post(path, content=text, headers=headers)
        fast = service.client.post(f"/fast{path}", content=text, headers=headers)
        assert typed.status_code == fast.status_code
        assert typed.status_code < 500, typed.text
        if typed.status_code != 200:
            assert typed.content == fast.content
        answers.update([str(typed.status_code), str(fast.status_code)])

    asked()
    record("requests", "any JSON, at both doors", {"answers": answers})


def test_what_is_nowhere_or_asked_in_another_way_is_a_problem_too(service):
    for method, path, status in (
        ("GET", "/v1/score", 405), ("GET", "/fast/v1/score", 405), ("POST", "/v1/scores", 404),
        ("POST", "/fast/v1/scores", 404), ("GET", "/fast/", 404),
    ):  # fmt: skip
        found = service.client.request(method, path)
        assert found.status_code == status, path
        assert found.headers["content-type"] == "application/problem+json", path


def test_single_calls_that_come_together_get_what_each_would_get_alone(service, pairs):
    """Strangers are merged; each still gets its own row, options and refusal."""
    as_of = service.world.as_of
    options = itertools.cycle([
        {"as_of": as_of}, {"as_of": as_of, "horizons": [12]}, {"as_of": as_of, "request_id": "r"},
        {"as_of": as_of, "outputs": ["purchase"], "horizons": [7, 30]}, {"as_of": "soon"},
        {"as_of": as_of, "horizons": [400]},
    ])  # fmt: skip
    asked = [(pair, next(options)) for pair in pairs + pairs[:20]]

    async def together():
        async with httpx.AsyncClient(base_url=service.client.base_url, timeout=30) as client:
            return await asyncio.gather(
                *(client.post("/v1/score_one", json={"pair": p} | more) for p, more in asked)
            )

    for (pair, more), found in zip(asked, asyncio.run(together()), strict=True):
        alone = service.post("/v1/score", {"pairs": [pair]} | more)
        assert found.status_code == alone.status_code
        assert found.content == alone.content


def test_a_single_call_that_is_none_is_refused(service):
    for body in ({}, {"pair": ["u"]}, {"pair": PAIR, "pairs": [PAIR]}, [PAIR], {"rows": []}):
        found = service.post("/v1/score_one", body)
        assert found.status_code == 400, found.text
        assert found.headers["content-type"] == "application/problem+json"


def test_a_bid_is_what_its_own_columns_say(service, pairs):
    as_of = service.world.as_of
    asked = {"pairs": pairs, "as_of": as_of, "horizon": 30, "target": {"cost_per_order": 40},
             "pacing": 0.5, "bounds": [0.01, 2], "request_id": "r-7"}  # fmt: skip
    bid = service.post("/v1/bid", asked).json()
    score = service.post("/v1/score", {"pairs": pairs, "as_of": as_of, "horizons": [30]}).json()
    assert bid["release"] == score["release"]
    assert bid["status"] == score["status"]
    assert bid["p_purchase"] == score["p_purchase"]["30"]
    assert bid["expected_value"] == score["expected_value"]["30"]
    for p, f, used, money in zip(
        bid["p_purchase"], bid["factor"], bid["p_purchase_adjusted"], bid["bid"], strict=True
    ):
        if p is None:
            assert money == 0
            continue
        assert used == pytest.approx(1 - (1 - p) ** f)
        assert money == pytest.approx(min(max(used * 40 * 0.5, 0.01), 2))


def test_without_a_horizon_each_pair_has_its_categorys_cycle(service, pairs):
    found = service.post("/v1/bid", {"pairs": pairs, "target": {"return_on_spend": 3}}).json()
    known = service.world.published().brands.cycle()
    for (_, brand), days in zip(pairs, found["horizon"], strict=True):
        assert days == min(known.get(brand, days), 90)


def test_a_horizon_beyond_the_releases_is_refused_for_bids_too(service):
    asked = {"pairs": [PAIR], "horizon": 400, "target": {"cost_per_order": 1}}
    found = both(service, "/v1/bid", asked)
    assert found.status_code == 422
    assert "1 to 90 days" in found.json()["detail"]


def test_decisions_are_kept_under_pseudonyms(service):
    folder = service.world.folder / "decisions"
    asked = {"pairs": [PAIR, ["u0000003", "b01"]], "target": {"cost_per_order": 40},
             "request_id": "kept"}  # fmt: skip
    answer = service.post("/v1/bid", asked).json()

    def lines():
        texts = [path.read_text() for path in folder.glob("*.jsonl")]
        return [json.loads(line) for text in texts for line in text.splitlines()]

    for _ in range(100):
        mine = [line for line in lines() if line.get("request_id") == "kept"]
        if mine:
            break
    assert mine[0]["user"] == [read_pseudonyms(secret_path(folder)).of(PAIR[0]), None]
    assert mine[0]["bid"] == answer["bid"]
    assert mine[0]["release"] == answer["release"]
    assert PAIR[0] not in json.dumps(lines())
