"""Events and opt-outs over HTTP: two workers, one store; what was acknowledged is seen by both."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.services import Service, serving
from tests.worlds import TrainedWorld, stagecast

BRAND = "b01"


@dataclass(frozen=True)
class Served(Service):
    world: TrainedWorld

    def post(self, path, **body):
        # A connection of its own each time, so that either worker may answer.
        return httpx.post(self.client.base_url.join(path), json=body, timeout=30)


@pytest.fixture(scope="module")
def service(world, tmp_path_factory):
    mine = world.copied_to(tmp_path_factory.mktemp("intake") / "a copy")
    done = stagecast("ingest", mine.config, mine.folder / "events.parquet")
    assert done.code == 0, done.err
    with serving(mine.config, "workers = 2\n") as running:
        yield Served(running.process, running.log, running.client, mine)


def now(**later):
    return (datetime.now(tz=UTC) + timedelta(**later)).isoformat()


def event(user, kind="search", name=None, **more):
    found = {"user_id": user, "brand_id": BRAND, "kind": kind, "occurred_at": now(seconds=-10)}
    return found | ({} if name is None else {"event_id": name}) | more


def stages(service, user, times=6):
    """What several requests, to whichever worker, say of the user."""
    answers = [service.post("/v1/score", pairs=[[user, BRAND]]).json() for _ in range(times)]
    return {(answer["status"][0], answer["stage"][0]) for answer in answers}


def test_what_was_acknowledged_is_seen_by_the_next_request_whoever_answers_it(service):
    assert stages(service, "newcomer") == {("unknown_user", "none")}
    found = service.post("/v1/events", events=[event("newcomer", name="n-1")])
    assert found.status_code == 200
    assert found.json() == {"stored": 1, "repeated": 0, "rejected": []}
    assert stages(service, "newcomer") == {("ok", "interest")}
    service.post("/fast/v1/events", events=[event("newcomer", "collect", "n-2")])
    assert stages(service, "newcomer") == {("ok", "true_interest")}
    late = [event("newcomer", "purchase", "n-0", occurred_at=now(days=-3), value=12.5)]
    service.post("/v1/events", events=late)
    assert stages(service, "newcomer") == {("ok", "purchase")}


def test_an_event_that_is_sent_again_counts_once(service):
    sent = [event("again", name=f"a-{i}") for i in range(5)]
    assert service.post("/v1/events", events=sent).json()["stored"] == 5
    found = service.post("/v1/events", events=[*sent, event("again", name="a-5")]).json()
    assert (found["stored"], found["repeated"]) == (1, 5)


def test_a_bad_event_is_rejected_with_its_index_and_the_others_are_stored(service):
    sent = [event("mixed", name="m-1"), {"user_id": "mixed"}, event("mixed", "dance"), 7,
            event("mixed", occurred_at=now(days=3)), event("mixed", name="m-2"),
            event("mixed", occurred_at="1999-01-01")]  # fmt: skip
    found = service.post("/v1/events", events=sent).json()
    assert found["stored"] == 2
    assert [row["index"] for row in found["rejected"]] == [1, 2, 3, 4, 6]
    assert "dance" in found["rejected"][1]["reason"]


@pytest.mark.parametrize("body", [{}, {"events": []}, {"events": [1] * 1_001}, {"events": {}},
                                  {"events": [{}], "more": 1}])  # fmt: skip
def test_a_request_that_is_none_is_refused_as_a_problem(service, body):
    for path in ("/v1/events", "/fast/v1/events"):
        found = service.post(path, **body)
        assert found.status_code in (400, 413), found.text
        assert found.headers["content-type"] == "application/problem+json"


def test_who_opts_out_gets_no_forecast_from_the_next_request_on(service):
    service.post("/v1/events", events=[event("private", name="p-1")])
    assert stages(service, "private") == {("ok", "interest")}
    found = service.post("/v1/opt_out", user_id="private")
    assert (found.status_code, found.json()) == (200, {"status": "opted_out"})
    assert stages(service, "private") == {("opted_out", None)}
    bid = service.post("/v1/bid", pairs=[["private", BRAND]], target={"cost_per_order": 9},
                       bounds=[1, 5]).json()  # fmt: skip
    assert (bid["bid"], bid["p_purchase"]) == ([0.0], [None])
    refused = service.post("/v1/opt_out", user_id="two\nlines")
    assert refused.status_code == 422


def test_no_id_stands_in_the_log(service):
    said = service.log.read_text()
    for user in ("newcomer", "again", "mixed", "private"):
        assert user not in said
