"""A small HTTP server that misbehaves as it is told: for what a client does then."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Seen:
    """A request as it came."""

    path: str
    body: Any
    headers: Mapping[str, str]
    port: int
    at: float


@dataclass
class Script:
    """What the server does with each request in turn; the last act is repeated."""

    url: str
    acts: list[Callable[["Handler"], None]] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)

    def plays(self, *acts: Callable[["Handler"], None]) -> None:
        self.acts, self.seen = list(acts), []

    @property
    def bodies(self) -> list[Any]:
        return [request.body for request in self.seen]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        place = len(self.script.seen)
        seen = Seen(self.path, body, self.headers, self.client_address[1], time.monotonic())
        self.script.seen.append(seen)
        self.script.acts[min(place, len(self.script.acts) - 1)](self)

    def log_message(self, *_: object) -> None:
        pass


def answers(body: Any, status: int = 200, **headers: str) -> Callable[[Handler], None]:
    """Answer this; underscores in names of headers are hyphens."""

    def act(handler: Handler) -> None:
        said = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", str(len(said)))
        handler.end_headers()
        handler.wfile.write(said)

    return act


def refuses(status: int, detail: str, **headers: str) -> Callable[[Handler], None]:
    """Answer with a problem, as the service does."""
    return answers({"title": "No", "status": status, "detail": detail}, status, **headers)


def hangs_up(handler: Handler) -> None:
    """Close the connection in place of an answer."""
    handler.close_connection = True
    handler.connection.close()


def hangs(seconds: float) -> Callable[[Handler], None]:
    """Say nothing for so long, and then hang up."""

    def act(handler: Handler) -> None:
        time.sleep(seconds)
        hangs_up(handler)

    return act


def trickles(seconds: float) -> Callable[[Handler], None]:
    """Give a byte of an answer from time to time, for so long."""

    def act(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(int(seconds / 0.02)):
                handler.wfile.write(b" ")
                time.sleep(0.02)
        handler.close_connection = True

    return act


@contextlib.contextmanager
def scripted() -> Iterator[Script]:
    """Let a server run on a free port."""
    script = Script("")
    handler = type("Mine", (Handler,), {"script": script})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    # A client that left must not be reported on the terminal.
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    server.daemon_threads = True
    script.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
