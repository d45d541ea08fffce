"""The client against a running service, whose key it holds."""

import asyncio
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

import stagecast.client
from serving.bid_requests import BidAnswer as ServedBids
from serving.event_requests import EventsReply, RejectedEvent
from serving.event_rows import MOST_EVENTS
from stagecast.client import AsyncClient, BidAnswer, Client, EventsAnswer, RefusedError, event_parts
from tests.services import Service, serving
from tests.worlds import ROOT, TrainedWorld
from tests.worlds import stagecast as command

PAIR = ("u0000001", "b01")
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGE = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Served(Service):
    world: TrainedWorld
    key: str

    @property
    def url(self):
        return str(self.client.base_url)

    def open(self, **more):
        return Client(self.url, self.key, timeout=30, **more)

    def ask_itself(self, path, **body):
        headers = {"authorization": f"Bearer {self.key}"}
        return self.client.post(path, json=body, headers=headers).json()


@pytest.fixture(scope="module")
def service(world, tmp_path_factory):
    mine = world.copied_to(tmp_path_factory.mktemp("client") / "a copy")
    with mine.config.open("a", encoding="utf-8") as file:
        # Today's events must not make the store forget the log's.
        file.write("\n[store]\nkeep_days = 36500\n")
    for arguments in (
        ("ingest", mine.config, mine.folder / "events.parquet"),
        ("keys", mine.config, "add", "bidder", "--scope", "score", "--scope", "ingest"),
    ):
        done = command(*arguments)
        assert done.code == 0, done.err
    with serving(mine.config, "deadline_ms = 20000\n") as running:
        key = done.out.strip()
        yield Served(running.process, running.log, running.client, mine, key)


@pytest.fixture(scope="module")
def client(service):
    with service.open() as found:
        yield found


def many(n):
    return [(f"u{i:07d}", f"b{i % 4:02d}") for i in range(n)]


def event(user, kind="search", ago=10, **more):
    occurred_at = datetime.now(tz=UTC) - timedelta(seconds=ago)
    return {"user_id": user, "brand_id": "b01", "kind": kind, "occurred_at": occurred_at} | more


def test_an_answer_holds_what_the_service_says(service, client):
    asked = {"pairs": [PAIR, ("nobody", "b01")], "horizons": [7, 30], "as_of": service.world.as_of,
             "request_id": "r-1"}  # fmt: skip
    found = client.score(**asked)
    assert found.model_dump() == service.ask_itself("/v1/score", **asked)
    assert found.status == ["ok", "unknown_user"]
    assert found.p_purchase["30"][0] > 0
    only = client.score([PAIR], outputs=["value"], as_of=service.world.as_of)
    assert only.p_purchase is None
    assert only.expected_value is not None


def test_both_doors_and_a_single_call_give_the_same(service, client):
    as_of = service.world.as_of
    with service.open(fast=False) as other:
        assert other.score([PAIR], as_of=as_of) == client.score([PAIR], as_of=as_of)
        bids = [asker.bid([PAIR], {"cost_per_order": 40}, as_of=as_of) for asker in (other, client)]
        assert bids[0] == bids[1]
    assert client.score_one(*PAIR, as_of=as_of) == client.score([PAIR], as_of=as_of)


def test_an_instant_may_be_text_or_pythons_own(client):
    noon = datetime(2025, 3, 1, 12, tzinfo=UTC)
    instants = ("2025-03-01T12:00:00Z", noon, pd.Timestamp(noon))
    assert {client.score([PAIR], as_of=at).as_of for at in instants} == {noon.isoformat()}
    days = [client.score([PAIR], as_of=at).as_of for at in ("2025-03-01", date(2025, 3, 1))]
    assert days[0] == days[1]


def test_an_id_may_be_a_whole_number_and_nothing_else(client):
    assert client.score([(7, np.int64(8))]).status == ["unknown_brand"]
    for wrong in ([(None, "b01")], [("u1", 1.5)], "ub", [("u1",)], [("u1", "b1", "c1")]):
        with pytest.raises((TypeError, ValueError)):
            client.score(wrong)


@pytest.mark.parametrize("n", [511, 512, 513, 1_300])
def test_any_number_of_pairs_gets_one_answer_in_their_order(service, client, n):
    pairs = many(n)
    found = client.score(pairs, horizons=[7], as_of=service.world.as_of, request_id="whole")
    assert len(found.status) == len(found.stage) == n
    assert found.request_id == "whole"
    places = sorted({0, 510, n // 2, n - 1})
    few = client.score([pairs[i] for i in places], horizons=[7], as_of=service.world.as_of)
    assert [found.p_purchase["7"][i] for i in places] == few.p_purchase["7"]
    assert few.p_at.keys() == found.p_at.keys()
    for stage, values in few.p_at["7"].items():
        assert [found.p_at["7"][stage][i] for i in places] == values
    assert found.as_of == few.as_of


def test_a_frame_has_the_columns_of_a_file_of_scores(service, client):
    as_of, folder = service.world.as_of, service.world.folder
    pairs = pd.read_parquet(folder / "events.parquet")[["user_id", "brand_id"]].dropna()
    pairs = pairs.drop_duplicates().sort_values(["user_id", "brand_id"]).head(20)
    pairs.to_parquet(folder / "pairs.parquet")
    done = command("score", service.world.config, "--as-of", as_of, "--out", folder / "s.parquet",
                   "--pairs", folder / "pairs.parquet", "--horizons", "7,30")  # fmt: skip
    assert done.code == 0, done.err
    asked = [tuple(pair) for pair in pairs.to_numpy().tolist()]
    found = client.score(asked, [7, 30], as_of=as_of).frame(asked)
    filed = pd.read_parquet(folder / "s.parquet")
    assert set(filed.columns) <= set(found.columns)
    for name in ("user_id", "brand_id", "as_of", "stage", "release"):
        assert found[name].tolist() == filed[name].tolist(), name
    for name in filed.filter(regex="_7d|_30d").columns:
        assert found[name].tolist() == pytest.approx(filed[name].tolist(), rel=1e-9), name
    assert "user_id" not in client.score(asked).frame()


def test_a_bid_is_within_its_bounds_and_says_how_it_came_about(service, client):
    found = client.bid([PAIR, ("nobody", "b01")], {"return_on_spend": 3}, horizon=30, pacing=0.5,
                       bounds=(0.25, 2), as_of=service.world.as_of, request_id="auction-1",
                       deadline_ms=20_000)  # fmt: skip
    assert found.horizon == [30, 30]
    assert found.request_id == "auction-1"
    assert all(0.25 <= money <= 2 for money in found.bid)


def test_no_bid_is_made_of_what_is_no_number(client):
    """Written as JSON, NaN would be null, and a highest bid of null is none at all."""
    bad, goal = float("nan"), {"cost_per_order": 40}
    for more in ({"bounds": (0, bad)}, {"bounds": (bad, None)}, {"pacing": float("inf")},
                 {"target": {"cost_per_order": bad}}):  # fmt: skip
        with pytest.raises(ValueError, match=r"(bounds|pacing|target): (nan|inf) is no number"):
            client.bid([PAIR], **({"target": goal} | more))


def test_a_refusal_has_the_words_of_the_service(client):
    with pytest.raises(RefusedError, match="the release answers 1 to 90 days") as refused:
        client.score([PAIR], horizons=[400])
    assert (refused.value.status, refused.value.problem["status"]) == (422, 422)
    for call, status in (
        (lambda: client.score([]), 400),
        (lambda: client.bid([PAIR] * 513, {"cost_per_order": 1}), 413),
        (lambda: client.bid([PAIR], {}), 400),
        (lambda: client.opt_out("two\nlines"), 422),
    ):
        with pytest.raises(RefusedError) as refused:
            call()
        assert refused.value.status == status
        assert refused.value.detail in str(refused.value)


def test_a_key_may_come_from_the_environment_and_a_wrong_one_is_refused(service, monkeypatch):
    monkeypatch.setenv("STAGECAST_KEY", service.key)
    with Client(service.url, timeout=30) as found:
        assert found.score_one(*PAIR, as_of=service.world.as_of).status == ["ok"]
    with (
        Client(service.url, "stagecast_wrong") as found,
        pytest.raises(RefusedError, match="401: The key is not known") as refused,
    ):
        found.score([PAIR])
    assert "wrong" not in str(refused.value)


def test_events_are_seen_by_the_next_call(client):
    assert client.score_one("fresh", "b01").status == ["unknown_user"]
    found = client.send_events([event("fresh", event_id="f-1")])
    assert found == EventsAnswer(stored=1, repeated=0, rejected=[])
    assert client.score_one("fresh", "b01").status == ["ok"]
    assert client.send_events([]) == EventsAnswer(stored=0, repeated=0, rejected=[])


def test_any_number_of_events_is_sent_and_what_is_rejected_has_its_place_among_all(client):
    sent = [event(f"many-{i % 50}", event_id=f"m-{i}") for i in range(2_300)]
    sent[1_500] = event("many-1", "dance")
    sent[7] = "no event"
    sent[2_299] = {"user_id": "many-2"}
    found = client.send_events(iter(sent))
    assert (found.stored, found.repeated) == (2_297, 0)
    assert [row.index for row in found.rejected] == [7, 1_500, 2_299]
    assert "dance" in found.rejected[1].reason
    again = client.send_events(sent)
    assert (again.stored, again.repeated) == (0, 2_297)


def test_equal_events_without_an_id_all_count_however_far_apart_they_stand_and_once_only(client):
    """A part that held one of them alone would take it for the other, sent again."""
    equal = event("twins")
    written_otherwise = equal | {"occurred_at": equal["occurred_at"].isoformat()}
    others = [event(f"other-{i}", event_id=f"o-{i}") for i in range(1_500)]
    sent = [equal, *others, written_otherwise, equal]
    assert client.send_events(sent).stored == 1_503
    assert client.send_events(sent).repeated == 1_503


def test_what_pandas_writes_for_unknown_is_unknown(client):
    """NaN is no id either, and of a pair of equal events neither is lost."""
    equal = event("gaps", "purchase", event_id=float("nan"), value=float("nan"))
    others = [event(f"gap-{i}", event_id=f"g-{i}") for i in range(1_100)]
    other_gap = equal | {"event_id": None, "category_id": float("nan")}
    assert client.send_events([equal, *others, other_gap]).stored == 1_102


def test_more_equal_events_than_can_be_told_apart_are_refused_before_any_is_sent(client):
    sent = [event("crowd-first", event_id="c-1")] + [event("crowd")] * (MOST_EVENTS + 1)
    with pytest.raises(ValueError, match="1,001 of one user, brand and kind have no event_id"):
        client.send_events(sent)
    assert client.score_one("crowd-first", "b01").status == ["unknown_user"]


def test_who_opts_out_has_no_forecast_from_the_next_call_on(client):
    client.send_events([event("private", event_id="p-1")])
    assert client.opt_out("private") is None
    found = client.score([("private", "b01")])
    assert (found.status, found.stage) == (["opted_out"], [None])
    assert client.bid([("private", "b01")], {"cost_per_order": 9}, bounds=(1, 5)).bid == [0.0]


def test_the_asynchronous_client_gives_the_same_to_many_tasks_at_once(service, client):
    as_of = service.world.as_of

    async def ask():
        async with AsyncClient(service.url, service.key, timeout=30) as other:
            scores = await asyncio.gather(
                *(other.score_one(user, brand, [7], as_of=as_of) for user, brand in many(40))
            )
            whole = await other.score(many(600), [7], as_of=as_of, deadline_ms=20_000)
            bids = await other.bid([PAIR], {"cost_per_order": 40}, as_of=as_of)
            events = await other.send_events([event("async", event_id="a-1")])
            await other.opt_out("async")
            return scores, whole, bids, events, (await other.score_one("async", "b01")).status

    scores, whole, bids, events, status = asyncio.run(ask())
    assert [answer.p_purchase["7"][0] for answer in scores] == whole.p_purchase["7"][:40]
    assert whole == client.score(many(600), [7], as_of=as_of)
    assert bids == client.bid([PAIR], {"cost_per_order": 40}, as_of=as_of)
    assert (events.stored, status) == (1, ["opted_out"])


def test_no_key_stands_in_the_log_of_the_service(service, client):
    client.score([PAIR])
    assert service.key not in service.log.read_text()


@pytest.mark.parametrize(
    ("mine", "served"),
    [(BidAnswer, ServedBids), (EventsAnswer, EventsReply),
     (stagecast.client.RejectedEvent, RejectedEvent)],
)  # fmt: skip
def test_an_answer_has_the_fields_of_the_services(mine, served):
    def fields(model):
        listed = {name: field.annotation for name, field in model.model_fields.items()}
        return listed | ({"rejected": list} if "rejected" in listed else {})

    assert fields(mine) == fields(served)
    assert event_parts.MOST_EVENTS == MOST_EVENTS


def test_the_face_is_a_sorted_list_of_what_is_there_and_documented():
    names = stagecast.client.__all__
    assert names == sorted(names)
    assert [name for name in names if not hasattr(stagecast.client, name)] == []
    assert [name for name in names if not re.search(rf"\b{name}\b", PAGE)] == []


def test_both_clients_have_the_same_methods_and_parameters():
    for name in ("__init__", "score", "score_one", "bid", "send_events", "opt_out"):
        plain, other = getattr(Client, name), getattr(AsyncClient, name)
        assert plain.__annotations__ == other.__annotations__
        assert plain.__defaults__ == other.__defaults__
        assert plain.__kwdefaults__ == other.__kwdefaults__


def test_the_client_loads_none_of_the_services_libraries():
    heavy = ["bentoml", "duckdb", "ibis", "lightgbm", "lmdb", "mlflow", "numba", "numpy", "pandas",
             "pyarrow", "sklearn", "typer"]  # fmt: skip
    code = f"import sys, stagecast.client; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


def test_the_page_of_the_client_works_line_by_line(service, monkeypatch, capsys):
    monkeypatch.setenv("STAGECAST_KEY", service.key)
    blocks = BLOCK.findall(PAGE)
    assert len(blocks) >= 4
    names = {"__name__": "page"}
    for block in blocks:
        text = block.replace("http://127.0.0.1:3000", service.url.rstrip("/"))
        exec(compile(text, "docs/client.md", "exec"), names)
    assert capsys.readouterr().out
