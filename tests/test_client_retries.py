"""What the client does when the service is busy, away, slow or changed."""

import asyncio
import logging
import pickle
import socket
import time

import pytest

from stagecast.client import (
    AnswerError,
    AsyncClient,
    AwayError,
    BusyError,
    ChangedReleaseError,
    Client,
    DeadlineError,
    RefusedError,
)
from tests.scripted_servers import answers, hangs, hangs_up, refuses, scripted, trickles
from tests.services import free_port

SECRET = "stagecast_0123_a-very-secret-key"
PAIR = ("u1", "b1")
STORED = answers({"stored": 1, "repeated": 0, "rejected": []})
EVENT = {"user_id": "u1", "brand_id": "b1", "kind": "search", "occurred_at": "2025-06-01T10:00:00Z"}
BUSY = refuses(503, "The service has more to do than it can.", retry_after="1")
BUSY_AT_ONCE = refuses(503, "Busy.", retry_after="0")


def scores(release="r1", as_of="2025-06-01T10:00:00+00:00"):
    """Answer a request for scores; the values are the users, so that their order shows."""

    def act(handler):
        pairs = handler.script.seen[-1].body["pairs"]
        answers(
            {"release": release, "as_of": as_of, "request_id": None,
             "stage": [user for user, _ in pairs],
             "p_purchase": {"7": [float(user[1:]) for user, _ in pairs]},
             "status": ["ok"] * len(pairs)}
        )(handler)  # fmt: skip

    return act


class Awaited:
    """The asynchronous client, asked as the plain one is."""

    def __init__(self, *arguments, **more):
        self.made = arguments, more

    def __getattr__(self, name):
        async def ask(*arguments, **more):
            async with AsyncClient(*self.made[0], **self.made[1]) as client:
                return await getattr(client, name)(*arguments, **more)

        return lambda *arguments, **more: asyncio.run(ask(*arguments, **more))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    with scripted() as script:
        yield script


@pytest.fixture(params=[Client, Awaited], ids=["plain", "asynchronous"])
def opened(request, server):
    """Makes a client of either kind."""

    def build(url=server.url, key=SECRET, **more):
        return request.param(url, key, **more)

    return build


def test_a_busy_service_is_asked_again_after_the_seconds_that_it_says(server, opened):
    server.plays(BUSY, scores())
    with opened() as client:
        assert client.score([PAIR]).status == ["ok"]
    assert len(server.seen) == 2
    assert server.seen[1].at - server.seen[0].at >= 1


@pytest.mark.parametrize("status", [503, 429])
def test_where_the_seconds_do_not_fit_into_the_deadline_it_is_told_at_once(server, opened, status):
    server.plays(refuses(status, "Ask again later.", retry_after="1"))
    began = time.monotonic()
    with opened() as client, pytest.raises(BusyError, match=f"{status}: Ask again later") as busy:
        client.score([PAIR], deadline_ms=500)
    assert time.monotonic() - began < 0.5
    assert (busy.value.status, busy.value.retry_after, len(server.seen)) == (status, 1, 1)


def test_a_service_that_stays_busy_is_asked_no_more_often_than_was_said(server, opened):
    for retries in (0, 1, 3):
        server.plays(BUSY_AT_ONCE)
        with opened(retries=retries) as client, pytest.raises(BusyError):
            client.score([PAIR])
        assert len(server.seen) == retries + 1


@pytest.mark.parametrize("status", [400, 401, 403, 413, 422, 500, 502])
def test_a_refusal_is_final(server, opened, status):
    server.plays(refuses(status, "No, and this is why."))
    with opened() as client, pytest.raises(RefusedError, match=f"{status}: No, and this is why"):
        client.score([PAIR])
    assert len(server.seen) == 1


def test_a_refusal_of_a_proxy_is_shown_as_it_came(server, opened):
    server.plays(answers(b"<html>Bad gateway</html>", 502))
    with opened() as client, pytest.raises(RefusedError, match="502: <html>Bad gateway") as refused:
        client.score([PAIR])
    assert refused.value.problem == {}


def test_what_is_no_answer_of_the_service_is_named_as_such(server, opened):
    for body in (b"<html></html>", {"release": 7}):
        server.plays(answers(body))
        with opened() as client, pytest.raises(AnswerError, match="is it the service"):
            client.score([PAIR])


def test_a_connection_that_breaks_is_made_anew_and_the_same_is_sent_again(server, opened):
    server.plays(hangs_up, hangs_up, STORED)
    with opened() as client:
        assert client.send_events([EVENT, EVENT]).stored == 1
    assert server.bodies[0] == server.bodies[1] == server.bodies[2]
    assert len(server.bodies[0]["events"]) == 2


def test_where_nobody_listens_the_error_says_where_and_what_would_do(opened):
    url = f"http://127.0.0.1:{free_port()}"
    with opened(url) as client, pytest.raises(AwayError, match="stagecast serve CONFIG") as away:
        client.score([PAIR])
    assert url in str(away.value)


def test_a_service_that_comes_back_in_time_is_found(opened, server):
    server.plays(hangs_up, scores())
    with opened(retries=1) as client:
        assert client.score([PAIR], deadline_ms=5_000).release == "r1"


@pytest.mark.parametrize("act", [hangs(1.5), trickles(1.5)], ids=["silent", "trickling"])
def test_a_deadline_holds_whatever_the_service_does(server, opened, act):
    server.plays(act)
    with opened() as client:
        for call, asked in ((client.score, PAIR), (client.send_events, EVENT)):
            began = time.monotonic()
            with pytest.raises(DeadlineError, match="within 200 ms"):
                call([asked], deadline_ms=200)
            assert 0.15 < time.monotonic() - began < 1
    assert len(server.seen) == 2


def test_without_a_deadline_the_timeout_holds_and_nothing_is_sent_again(server, opened):
    server.plays(hangs(1.5))
    with opened(timeout=0.2) as client, pytest.raises(DeadlineError, match="within 200 ms"):
        client.send_events([EVENT])
    assert len(server.seen) == 1


def test_a_peer_that_takes_no_connection_costs_no_more_than_the_deadline(opened):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        # The line of those who wait is full: what comes now is left without a reply.
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        began = time.monotonic()
        with opened(f"http://127.0.0.1:{address[1]}") as client, pytest.raises(DeadlineError):
            client.score([PAIR], deadline_ms=300)
        assert 0.2 < time.monotonic() - began < 1
        for one in waiting:
            one.close()


def test_a_deadline_that_has_passed_sends_nothing(server, opened):
    server.plays(scores())
    with opened() as client:
        for deadline in (0, -5):
            with pytest.raises(DeadlineError):
                client.score([PAIR], deadline_ms=deadline)
    assert server.seen == []


def test_the_service_is_told_what_is_left_and_a_call_of_events_has_no_such_field(server, opened):
    server.plays(BUSY_AT_ONCE, scores())
    with opened() as client:
        client.score([PAIR], deadline_ms=3_000)
        first, second = (body["deadline_ms"] for body in server.bodies)
        assert 3_000 >= first > second > 0
        server.plays(scores())
        client.score([PAIR])
        assert "deadline_ms" not in server.bodies[0]
        client.score([PAIR], deadline_ms=10**9)
        assert server.bodies[1]["deadline_ms"] == 60_000
        server.plays(STORED)
        client.send_events([EVENT], deadline_ms=3_000)
        assert set(server.bodies[0]) == {"events"}


def test_one_deadline_holds_for_all_parts(server, opened):
    def slowly(handler):
        time.sleep(0.15)
        scores()(handler)

    server.plays(slowly)
    with opened() as client, pytest.raises(DeadlineError):
        client.score([PAIR] * 512 * 5, deadline_ms=400)
    assert len(server.seen) <= 3


def test_parts_are_asked_as_of_the_instant_of_the_first(server, opened):
    server.plays(scores(as_of="2025-06-01T10:00:00.5+00:00"), scores(), scores())
    pairs = [(f"u{i}", "b1") for i in range(1_100)]
    with opened() as client:
        found = client.score(pairs)
    assert [body["as_of"] for body in server.bodies] == [None, *["2025-06-01T10:00:00.5+00:00"] * 2]
    assert [len(body["pairs"]) for body in server.bodies] == [512, 512, 76]
    assert found.stage == [user for user, _ in pairs]
    assert found.p_purchase == {"7": [float(i) for i in range(1_100)]}


def test_parts_of_an_older_release_are_asked_again(server, opened):
    server.plays(scores("old"), scores("new"), scores("new"))
    pairs = [(f"u{i}", "b1") for i in range(600)]
    with opened() as client:
        found = client.score(pairs)
    assert found.release == "new"
    assert found.stage == [user for user, _ in pairs]
    assert [len(body["pairs"]) for body in server.bodies] == [512, 88, 512]


def test_an_answer_never_mixes_releases(server, opened):
    server.plays(scores("old"), scores("new"), scores("newest"))
    with opened() as client, pytest.raises(ChangedReleaseError, match=r"\(new, newest\)"):
        client.score([PAIR] * 600)
    assert len(server.seen) == 3


def test_events_that_were_sent_in_part_can_all_be_sent_again_and_the_error_says_so(server, opened):
    server.plays(answers({"stored": 1_000, "repeated": 0, "rejected": []}), refuses(403, "No."))
    sent = [EVENT | {"event_id": str(i)} for i in range(1_500)]
    with opened() as client, pytest.raises(RefusedError) as refused:
        client.send_events(sent)
    assert "Before it, 1,000 events were stored" in refused.value.__notes__[0]


def test_one_connection_serves_many_calls(server):
    server.plays(scores())
    with Client(server.url) as client:
        for _ in range(5):
            client.score([PAIR])
    assert len({request.port for request in server.seen}) == 1


def test_the_key_goes_with_each_request_and_shows_nowhere(server, opened, caplog, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    caplog.set_level(logging.DEBUG)
    server.plays(hangs_up, refuses(401, "The key is not known."))
    with opened() as client, pytest.raises(RefusedError) as refused:
        client.score([PAIR])
    assert {seen.headers["authorization"] for seen in server.seen} == {f"Bearer {SECRET}"}
    shown = [repr(client), repr(refused.value), str(refused.value), str(refused.getrepr())]
    with opened(f"http://127.0.0.1:{free_port()}") as other, pytest.raises(AwayError) as away:
        other.score([PAIR])
    shown += [str(away.getrepr()), repr(away.value.__cause__.request.headers), caplog.text]
    assert not any(SECRET in text for text in shown)
    assert repr(Client(server.url, SECRET)) == f"Client({server.url!r})"
    assert repr(AsyncClient(server.url, SECRET)) == f"AsyncClient({server.url!r})"


def test_without_a_key_none_is_sent(server, opened, monkeypatch):
    monkeypatch.delenv("STAGECAST_KEY", raising=False)
    server.plays(scores())
    with opened(key=None) as client:
        client.score([PAIR])
    assert "authorization" not in server.seen[0].headers


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_what_can_be_no_key_or_address_is_refused_and_not_repeated(kind):
    for key in ("secret\nkey", "secret key", "schlüssel-secret"):
        with pytest.raises(ValueError, match="key: holds characters") as refused:
            kind(key=key)
        assert "secret" not in str(refused.value)
    for url in ("127.0.0.1:3000", "ftp://there", "http://", "http://me:secret@there",
                "http://there?key=secret", "http://there:port"):  # fmt: skip
        with pytest.raises(ValueError, match="url: ") as refused:
            kind(url)
        assert "secret" not in str(refused.value)


def test_an_error_passes_from_process_to_process():
    busy = pickle.loads(pickle.dumps(BusyError(429, "Often.", {"status": 429}, 3)))
    assert (str(busy), busy.retry_after, busy.problem) == ("429: Often.", 3, {"status": 429})
    assert str(pickle.loads(pickle.dumps(RefusedError(400, "No.", {})))) == "400: No."
