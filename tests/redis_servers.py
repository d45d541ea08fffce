"""Real Redis servers for tests: on a socket in a short folder, with an append-only file."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path


class RedisServer:
    """A server that can be killed, frozen and started again on what it kept."""

    def __init__(self, **options):
        # The path of a socket may have a hundred bytes: pytest's folders are too long for it.
        self.folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self.socket = self.folder / "socket"
        self.options = {"appendonly": "yes", "appendfsync": "always", "save": ""} | options
        self.process = None

    @property
    def url(self):
        return f"unix://{self.socket}"

    def start(self):
        options = {"port": "0", "unixsocket": self.socket, "dir": self.folder} | self.options
        command = ["redis-server"]
        for name, value in options.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until = time.monotonic() + 30
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.01)
        return self

    def _answers(self):
        """Whether it has read what it kept."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                # Where a password is wanted, it answers that.
                return connection.recv(9).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def version(self):
        said = subprocess.run(["redis-server", "--version"], capture_output=True, text=True).stdout
        return tuple(int(part) for part in said.split("v=")[1].split()[0].split("."))

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self._ended()

    def stop(self):
        if self.process is not None:
            self.signal(signal.SIGCONT)
            self.process.terminate()
            self._ended()

    def _ended(self):
        self.process.wait(timeout=30)
        self.process = None

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder)
