"""The doorway over real sockets: keys, scopes, limits, slow and endless bodies."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import uvicorn

from serving.doorway import Doorway
from serving.key_file import KeyFile
from serving.keys import Scope
from serving.ways import Way

NOW = datetime.now(tz=UTC)
PATIENCE = 10.0
SLOW = 0.6
JSON = {"content-type": "application/json"}
BODY = b'{"pairs": [["u1", "b1"]]}'
SMALL = Way(Scope.SCORE, most_bytes=2_000, most_rows=3, row="pairs", most_values=40, deepest=4)


@dataclass
class Behind:
    """What stands behind the door: keeps what it is given, and answers 200."""

    bodies: list[bytes] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": message["type"] + ".complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        body, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.bodies.append(body)
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


@dataclass
class Door:
    """A served doorway and the secrets of its keys by name."""

    behind: Behind
    port: int
    file: KeyFile
    secrets: dict[str, str]

    def client(self, name: str | None = None) -> httpx.Client:
        headers = JSON | ({"authorization": f"Bearer {self.secrets[name]}"} if name else {})
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=10)

    def post(self, name: str | None, path: str = "/v1/score", **more: Any) -> httpx.Response:
        with self.client(name) as client:
            return client.post(path, **({"content": BODY} | more))

    def line(self, name: str | None, *headers: str, path: str = "/v1/score") -> "Line":
        return Line(self.port, path, self.secrets.get(name or ""), headers)


class Line:
    """A raw connection on which a request has begun."""

    def __init__(self, port: int, path: str, secret: str | None, headers: tuple[str, ...]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", "content-type: application/json"]
        lines += [f"authorization: Bearer {secret}"] if secret else []
        self.send("\r\n".join([*lines, *headers, "", ""]).encode())

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> bytes:
        """Return all that comes until the other side closes the line."""
        found = b""
        with self.socket:
            while part := self.socket.recv(65_536):
                found += part
        return found


@contextlib.contextmanager
def served(app: Any) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    end = time.monotonic() + PATIENCE
    while not server.started:
        assert time.monotonic() < end
        time.sleep(0.01)
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(PATIENCE)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    file = KeyFile(tmp_path_factory.mktemp("door") / "keys.toml")
    scopes = {"score": (Scope.SCORE,), "ingest": (Scope.INGEST,), "all": tuple(Scope)}
    made = {name: file.add(name, NOW, scopes=found)[1] for name, found in scopes.items()}
    for name, about in (
        ("few", {"rate": 1, "burst": 2}),
        ("narrow", {"rows": 1}),
        ("over", {"expires": NOW - timedelta(seconds=1)}),
    ):
        made[name] = file.add(name, NOW, scopes=(Scope.SCORE,), **about)[1]
    behind = Behind()
    app = Doorway(
        behind, keys=str(file.path), body_seconds=SLOW,
        ways={"/v1/score": SMALL, "/v1/events": Way(Scope.INGEST, most_bytes=1_000_000)},
    )  # fmt: skip
    with served(app) as port:
        yield Door(behind, port, file, made)


def problem(response: httpx.Response, status: int, said: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    about = response.json()
    assert set(about) == {"title", "status", "detail"}
    assert about["status"] == status
    assert said in about["detail"]


def test_a_key_opens_what_its_scope_names_and_the_body_comes_through_whole(door):
    response = door.post("score")
    assert (response.status_code, response.text) == (200, "ok")
    assert door.behind.bodies[-1] == BODY
    with httpx.Client(base_url=f"http://127.0.0.1:{door.port}", headers=JSON) as client:
        for headers in (
            {"x-api-key": door.secrets["score"]},
            {"authorization": f"bearer  {door.secrets['score']}"},
        ):
            assert client.post("/v1/score", content=BODY, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "A key is needed: send it as 'Authorization: Bearer KEY'"),
        ({"authorization": "Bearer"}, "not known"),
        ({"authorization": "Basic dTpw"}, "A key is needed"),
        ({"authorization": "Bearer nonsense"}, "not known, or it was revoked"),
        ({"authorization": b"Bearer \xff\xfe_\x80_\x81"}, "not known"),
        ({"x-api-key": "stagecast_000000000000_" + "A" * 43}, "not known"),
    ],
)  # fmt: skip
def test_without_a_good_key_it_is_401_and_how_to_get_one(door, headers, said):
    with httpx.Client(base_url=f"http://127.0.0.1:{door.port}") as client:
        response = client.post("/v1/score", content=BODY, headers=JSON | headers)
    problem(response, 401, said)
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_an_expired_key_says_so(door):
    problem(door.post("over"), 401, "The key has expired")


@pytest.mark.parametrize(
    ("name", "path", "scope"),
    [
        ("ingest", "/v1/score", "score"),
        ("score", "/v1/events", "ingest"),
        # What stands in no table is the administrator's.
        ("score", "/metrics", "admin"),
        ("score", "/v1/score/", "admin"),
        ("score", "/v1/score%0A", "admin"),
        ("score", "//v1/score", "admin"),
        ("score", "/V1/score", "admin"),
    ],
)
def test_a_key_of_another_scope_is_403_and_the_scope_is_named(door, name, path, scope):
    response = door.post(name, path)
    problem(response, 403, f"lacks the scope {scope}")
    assert f'scope="{scope}"' in response.headers["www-authenticate"]


def test_health_is_open_and_pages_are_the_administrators(door):
    with door.client() as client:
        for path in ("/livez", "/readyz", "/healthz"):
            assert client.get(path).status_code == 200
        assert client.get("/metrics").status_code == 401
    with door.client("all") as client:
        assert client.get("/metrics").status_code == 200


def test_too_many_requests_are_429_with_the_seconds_to_wait(door):
    with door.client("few") as client:
        found = [client.post("/v1/score", content=BODY) for _ in range(3)]
        assert [response.status_code for response in found] == [200, 200, 429]
        problem(found[-1], 429, "ask again in 1 s")
        assert found[-1].headers["retry-after"] == "1"
        time.sleep(1.05)
        assert client.post("/v1/score", content=BODY).status_code == 200


def test_too_many_rows_in_time_are_429_too(door):
    many = b'{"pairs": [["u", "b"], ["u", "b"], ["u", "b"]]}'
    assert door.post("narrow", content=many).status_code == 200
    response = door.post("narrow", content=many)
    problem(response, 429, "ask again in 3 s")


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (b"[" * 1_000, 400, "nested 1000 deep; at most 4"),
        (b'{"pairs": [["u", "b"]', 400, "a bracket lacks its other half"),
        (b'{"pairs": [' + b",".join([b'["u","b"]'] * 4) + b"]}", 413, "4 pairs; at most 3"),
        (b'{"pairs": [' + b",".join([b"1"] * 100) + b"]}", 413, "About 100 values; at most 40"),
        (b'"' + b"x" * 2_000 + b'"', 413, "at most 2000 bytes"),
    ],
)
def test_a_body_that_is_too_much_is_refused_before_anybody_parses_it(door, content, status, said):
    before = len(door.behind.bodies)
    problem(door.post("score", content=content), status, said)
    problem(door.post("score", content=(content[i : i + 700] for i in range(0, len(content), 700))),
            status, said)  # fmt: skip
    assert len(door.behind.bodies) == before


def test_brackets_in_texts_are_no_brackets(door):
    body = json.dumps({"pairs": [["[[[[[[[[{{{{", '"]}"\\']]}).encode()
    assert door.post("score", content=body).status_code == 200
    assert door.behind.bodies[-1] == body


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_a_foreign_page_may_send_unasked_is_refused(door, kind):
    with door.client("score") as client:
        response = client.post("/v1/score", content=BODY, headers={"content-type": kind})
    problem(response, 415, "Content-Type: application/json")


def test_chunks_make_a_body(door):
    response = door.post("score", content=iter([BODY[:5], BODY[5:9], BODY[9:]]))
    assert response.status_code == 200
    assert door.behind.bodies[-1] == BODY


def test_an_endless_body_is_cut_off_with_its_reason(door):
    line = door.line("score", "transfer-encoding: chunked")
    with contextlib.suppress(OSError):
        for _ in range(400):
            line.send(b"186A0\r\n" + b" " * 100_000 + b"\r\n")
    with contextlib.suppress(ConnectionResetError):
        answer = line.answer()
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"connection: close" in answer
        assert b"at most 2000 bytes" in answer


def test_a_length_that_is_too_long_is_refused_before_the_body_comes(door):
    line = door.line("score", "content-length: 2001", "expect: 100-continue")
    answer = line.answer()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer


@pytest.mark.parametrize("framing", ["content-length: 1000", "transfer-encoding: chunked"])
@pytest.mark.parametrize("name", ["score", None])
def test_a_trickling_body_is_cut_off_and_holds_nobody_up(door, framing, name):
    lines = [door.line(name, framing) for _ in range(20)]
    start = time.monotonic()
    with door.client("score") as client:
        while time.monotonic() - start < SLOW / 2:
            for line in lines:
                line.send(b"1\r\n[\r\n" if "chunked" in framing else b"[")
            asked = time.monotonic()
            assert client.post("/v1/score", content=BODY).status_code == 200
            assert time.monotonic() - asked < 1
            time.sleep(0.05)
    status = b"408" if name else b"401"
    for line in lines:
        answer = line.answer()
        assert answer.startswith(b"HTTP/1.1 " + status), answer
        assert b"connection: close" in answer
    assert time.monotonic() - start < SLOW + 6


def test_a_caller_who_leaves_in_the_middle_harms_nobody(door):
    for _ in range(5):
        line = door.line("score", "content-length: 1000")
        line.send(b"[")
        line.socket.close()
    assert door.post("score").status_code == 200


def test_a_refusal_leaves_the_line_open_for_the_next_request(door):
    line = door.line(None, f"content-length: {len(BODY)}")
    line.send(BODY)
    first = line.socket.recv(4_096)
    assert first.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" not in first
    secret = door.secrets["score"]
    line.send(
        f"POST /v1/score HTTP/1.1\r\nhost: x\r\nx-api-key: {secret}\r\nconnection: close\r\n"
        f"content-type: application/json\r\ncontent-length: {len(BODY)}\r\n\r\n".encode()
        + BODY
    )
    assert line.answer().startswith(b"HTTP/1.1 200 ")


def test_a_rotation_needs_no_restart(door):
    secret = door.file.add("turning", NOW, scopes=(Scope.SCORE,))[1]

    def status(secret: str) -> int:
        return door.post(None, headers={"x-api-key": secret}).status_code

    time.sleep(0.3)
    assert status(secret) == 200
    new = door.file.rotate("turning", NOW, timedelta())[1]
    time.sleep(0.3)
    assert (status(secret), status(new)) == (401, 200)
    door.file.revoke("turning", NOW)
    time.sleep(0.3)
    assert status(new) == 401


# --- without keys, and without sockets -----------------------------------------------------------


def status_of(app: Doorway, path: str, headers: dict[str, str], kind: str = "http") -> Any:
    """Ask an application without a server; return what it sends first."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "path": path, "method": "POST", "headers": raw}
    asyncio.run(app(scope, receive, send))
    return sent[0].get("status", sent[0])


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:3000", 200), ("localhost", 200), ("LOCALHOST:3000", 200), ("[::1]:3000", 200),
     ("127.0.0.2", 200), ("evil.example:3000", 421), ("192.168.1.5:3000", 421), ("", 421)],
)  # fmt: skip
def test_without_keys_only_this_machines_own_names_are_answered(tmp_path, host, status):
    app = Doorway(Behind(), keys=str(tmp_path / "keys.toml"), keys_needed=False)
    headers = JSON | {"host": host, "content-length": str(len(BODY))}
    assert status_of(app, "/v1/score", headers) == status
    # With a key, under any name.
    secret = KeyFile(tmp_path / "keys.toml").add("a", NOW, scopes=(Scope.SCORE,))[1]
    app = Doorway(Behind(), keys=str(tmp_path / "keys.toml"), keys_needed=False)
    assert status_of(app, "/v1/score", headers) == 401
    assert status_of(app, "/v1/score", headers | {"x-api-key": secret}) == 200


def test_where_keys_are_needed_and_there_is_no_file_nobody_gets_in(tmp_path):
    app = Doorway(Behind(), keys=str(tmp_path / "keys.toml"))
    assert status_of(app, "/v1/score", JSON | {"host": "localhost"}) == 401


def test_nobody_has_business_with_a_web_socket(tmp_path):
    app = Doorway(Behind(), keys=str(tmp_path / "keys.toml"), keys_needed=False)
    assert status_of(app, "/livez", {}, "websocket") == {"type": "websocket.close", "code": 1008}
