"""The service behind its doorway: a real process, asked over HTTP, whose log tells nothing."""

import contextlib
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from features.errors import ConfigError
from serving.addresses import is_loopback
from serving.launch import launch
from serving.settings import PrivacySettings, ServiceSettings, ServingSettings, StoreSettings
from tests.services import serving
from tests.worlds import TrainedWorld, refusal, stagecast

SECRET = re.compile(r"stagecast_[0-9a-f]{12}_[A-Za-z0-9_-]{20,}")
USER, BRAND = "a-very-secret-user", "a-very-secret-brand"


@dataclass(frozen=True)
class Guarded:
    """A running service, its configuration, its log, and a first key."""

    config: Path
    log: Path
    client: httpx.Client
    secret: str

    def keys(self, *arguments: str) -> str:
        done = stagecast("keys", self.config, *arguments)
        assert done.code == 0, done.err
        return done.out.strip()

    def post(self, secret: str, path: str = "/v1/score", **more: object) -> httpx.Response:
        sent = {"json": {"pairs": [[USER, BRAND]]}} | more
        return self.client.post(path, headers={"authorization": f"Bearer {secret}"}, **sent)


@pytest.fixture(scope="module")
def guarded(integers: TrainedWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    mine = integers.copied_to(tmp_path_factory.mktemp("guarded") / "a copy")
    for command in (("ingest", mine.config, mine.folder / "events.parquet"),
                    ("keys", mine.config, "add", "bidder", "--scope", "score")):  # fmt: skip
        done = stagecast(*command)
        assert done.code == 0, done.err
    with serving(mine.config) as running:
        yield Guarded(mine.config, running.log, running.client, done.out.strip())


def test_with_a_key_it_answers_and_without_one_also_on_this_machine_it_does_not(guarded):
    assert guarded.post(guarded.secret).status_code == 200
    assert guarded.post("wrong").status_code == 401
    assert guarded.client.post("/v1/score", json={"pairs": [["u", "b"]]}).status_code == 401
    assert guarded.client.get("/livez").status_code == 200
    assert guarded.client.get("/metrics").status_code == 401
    assert guarded.post(guarded.secret, "/v1/events", json={"events": []}).status_code == 403


def until(guarded: Guarded, secret: str, status: int) -> bool:
    """Wait for the service to see a changed file."""
    end = time.monotonic() + 5
    while (found := guarded.post(secret).status_code) != status and time.monotonic() < end:
        time.sleep(0.05)
    return found == status


def test_keys_are_made_rotated_and_revoked_without_a_restart(guarded):
    first = guarded.keys("add", "shop", "--scope", "score")
    assert until(guarded, first, 200)
    second = guarded.keys("rotate", "shop", "--grace", "2s")
    assert until(guarded, second, 200)
    assert guarded.post(first).status_code == 200
    # The grace ends by itself.
    assert until(guarded, first, 401)
    assert guarded.post(second).status_code == 200
    guarded.keys("revoke", "shop")
    assert until(guarded, second, 401)
    assert guarded.post(guarded.secret).status_code == 200


def test_a_broken_file_of_keys_changes_nothing(guarded):
    path = guarded.config.parent / "keys.toml"
    good = path.read_text(encoding="utf-8")
    path.write_text("[[keys]", encoding="utf-8")
    time.sleep(0.5)
    assert guarded.post(guarded.secret).status_code == 200
    path.write_text(good, encoding="utf-8")
    assert guarded.log.read_text().count("keys file is broken") == 1


def test_paths_that_nobody_serves_leave_no_trace_in_the_metrics(guarded):
    for i in range(20):
        assert guarded.client.get(f"/v1/made-up-{i}").status_code == 401
    watcher = guarded.keys("add", "watcher", "--scope", "admin")
    assert until(guarded, watcher, 403)
    headers = {"authorization": f"Bearer {watcher}"}
    metrics = guarded.client.get("/metrics", headers=headers).text
    assert "made-up" not in metrics
    assert 'endpoint="/v1/score"' in metrics
    assert 'http_response_code="401"' in metrics


def test_limits_hold_in_front_of_the_service(guarded):
    assert guarded.post(guarded.secret, json={"pairs": [["u", "b"]] * 513}).status_code == 413
    deep = guarded.post(guarded.secret, json={"pairs": [[[[[[[[[[]]]]]]]]]]})
    assert deep.status_code == 400
    assert "nested" in deep.json()["detail"]
    long = guarded.post(guarded.secret, json={"pairs": [["x" * 2_000_000, "b"]]})
    assert long.status_code == 413
    host, port = guarded.client.base_url.host, guarded.client.base_url.port
    with socket.create_connection((host, port), timeout=20) as line:
        head = (
            f"POST /v1/score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            f"x-api-key: {guarded.secret}\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        line.sendall(head.encode() + b"1\r\n{\r\n")
        assert guarded.post(guarded.secret).status_code == 200
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while part := line.recv(4_096):
                answer += part
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_the_log_holds_no_key_no_id_and_no_body(guarded):
    """The last one here: it reads what all of them left behind."""
    wrong = {"pairs": [[USER, BRAND, "one too many"]], "horizons": [USER]}
    assert guarded.post(guarded.secret, json=wrong).status_code == 400
    late = {"pairs": [[USER, BRAND]], "as_of": f"{USER} soon"}
    assert guarded.post(guarded.secret, json=late).status_code == 422
    assert guarded.post(guarded.secret, content=f'{{"{USER}": ').status_code in (400, 415)
    assert guarded.post(f"stagecast_000000000000_{'A' * 43}").status_code == 401
    log = guarded.log.read_text(encoding="utf-8")
    assert "Exception on /v1/score [POST]: ValidationError, " in log
    for telling in (USER, BRAND, "one too many", guarded.secret, "input_value"):
        assert telling not in log
    assert not SECRET.search(log)


# --- who may listen where ------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", ""])
def test_without_a_key_the_service_refuses_to_be_reached_from_elsewhere(tmp_path, host):
    settings = ServiceSettings(
        folder=str(tmp_path), releases=str(tmp_path / "releases"), time_zone="UTC", horizons=(7,),
        store=StoreSettings(), serving=ServingSettings(host=host), privacy=PrivacySettings(),
    )  # fmt: skip
    with pytest.raises(ConfigError, match="can be reached from other machines") as found:
        launch(settings)
    assert f"there is no key in {tmp_path / 'keys.toml'}" in str(found.value)
    assert "stagecast keys CONFIG add NAME --scope score" in str(found.value)


def test_serve_refuses_in_one_message_and_exit_code_2(integers, tmp_path):
    mine = integers.copied_to(tmp_path / "mine")
    with mine.config.open("a", encoding="utf-8") as config:
        config.write('\n[serving]\nhost = "0.0.0.0"\n')
    message = refusal("serve", mine.config)
    assert "[serving] host: 0.0.0.0 can be reached from other machines" in message
    # A file without keys is as good as none, and a broken one is named.
    stagecast("keys", mine.config, "add", "a", "--scope", "score")
    stagecast("keys", mine.config, "revoke", "a")
    assert "there is no key in" in refusal("serve", mine.config)
    (mine.folder / "keys.toml").write_text("keys = 1", encoding="utf-8")
    assert "wrong at keys" in refusal("serve", mine.config)


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("127.8.8.8", True), ("::1", True),
     ("0.0.0.0", False), ("10.0.0.1", False), ("", False), ("no such host.invalid", False)],
)  # fmt: skip
def test_an_address_is_this_machines_alone_or_not(host, local):
    assert is_loopback(host) is local
