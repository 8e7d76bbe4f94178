"""A fresh Isthmus for a run: own data directory, own port, no rate limits, gone afterwards."""

import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from clients.load.plan import Target

__all__ = ["CONFIGURATION", "command", "free_port", "fresh_server"]

_READY_SECONDS_MAX = 60
_STOP_SECONDS_MAX = 30

CONFIGURATION = """\
server_name = "localhost"
data_directory = "{directory}/data"

[registration]
mode = "open"

[rate_limits]
enabled = false

[metrics]
port = 0

[logging]
level = "warning"

[[listeners]]
address = "127.0.0.1"
port = {port}
"""

_FOR_LOAD = """
[spam_limits]
enabled = false

[passwords]
memory_kib = 1024
time_cost = 1
"""
"""Whole towns move in at once here, and what their passwords cost is not what is measured."""


def free_port() -> int:
    """A TCP port of loopback that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def command(directory: Path) -> list[str]:
    """What starts a server with the configuration `isthmus.toml` of a directory."""
    return [sys.executable, "-m", "homeserver.app.cli", "run", "--config", str(directory / "isthmus.toml")]


def _wait_until_ready(base_url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up_s = time.monotonic() + _READY_SECONDS_MAX
    while time.monotonic() < give_up_s:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError, urllib.error.URLError):
            urllib.request.urlopen(f"{base_url}/ready", timeout=1).close()  # noqa: S310 - our own loopback URL
            return
        time.sleep(0.05)
    raise RuntimeError(f"The server did not become ready; its log says:\n{log.read_text()[-2000:]}")


@contextlib.contextmanager
def fresh_server() -> Iterator[Target]:
    """Start a server in a temporary directory; yields where it is; stops and removes it.

    Raises:
        RuntimeError: it did not become ready.
    """
    with tempfile.TemporaryDirectory(prefix="isthmus-load-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # the embedded PostgreSQL may run as another user
        port = free_port()
        (directory / "isthmus.toml").write_text(
            CONFIGURATION.format(directory=directory, port=port) + _FOR_LOAD
        )
        log = directory / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command(directory), stdout=output, stderr=output)  # noqa: S603 - our own program
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}", process, log)
            yield Target(
                f"http://127.0.0.1:{port}",
                server_pids=(process.pid,),
                postgres_directory=directory / "data",
            )
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
