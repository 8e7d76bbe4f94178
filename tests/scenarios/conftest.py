"""Real processes: a server as an operator runs it, and clients that we did not write."""

import asyncio
import contextlib
import os
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.load.fresh_server import CONFIGURATION, command, free_port

_ROOT = Path(__file__).parents[2]


class Server:
    """A homeserver process of our own, with its own data directory and port."""

    def __init__(self, directory: Path, level: str = "warning") -> None:
        self.directory = directory
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.log = directory / "server.log"
        self.process: subprocess.Popen[bytes] | None = None
        configuration = CONFIGURATION.format(directory=directory, port=self.port)
        configuration = configuration.replace('level = "warning"', f'level = "{level}"')
        (directory / "isthmus.toml").write_text(configuration)

    def start(self) -> float:
        """Start and wait until it is ready; returns the seconds that took."""
        started = time.monotonic()
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(command(self.directory), stdout=output, stderr=output, cwd=_ROOT)
        while time.monotonic() - started < 60:
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            try:
                urllib.request.urlopen(f"{self.base_url}/ready", timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return time.monotonic() - started
        raise AssertionError(self.log.read_text()[-4000:])

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask it to stop, as Ctrl-C does; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


@contextlib.contextmanager
def _running(level: str = "warning") -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="isthmus-scenario-") as name:
        Path(name).chmod(0o755)  # the embedded PostgreSQL may run as another user
        one = Server(Path(name), level)
        try:
            one.start()
            yield one
        finally:
            one.stop()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of the test's own."""
    with _running() as one:
        yield one


@pytest.fixture
def talkative_server() -> Iterator[Server]:
    """A server of the test's own that logs all there is to log."""
    with _running("debug") as one:
        yield one


@pytest.fixture(scope="module")
def server_of_module() -> Iterator[Server]:
    """A server for tests that leave it alive."""
    with _running() as one:
        yield one


@pytest.fixture
def interop_python() -> str:
    """The Python of the environment with clients that we did not write (`make scenarios` makes it)."""
    python = _ROOT / ".venv-interop" / "bin" / "python"
    assert python.exists(), "Run `make scenarios`, which makes .venv-interop."
    return str(python)


async def run_program(*command: str, cwd: Path | None = None, timeout_s: float = 100, watch=None) -> str:
    """Run a client program to its end; fails with what it printed. `watch` is called with each line."""
    environment = {**os.environ, "PATH": f"{_ROOT / '.venv-interop' / 'bin'}:{os.environ['PATH']}"}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    lines = []
    try:
        async with asyncio.timeout(timeout_s):
            async for line in process.stdout:
                lines.append(line.decode(errors="replace"))
                if watch is not None:
                    await watch(lines[-1])
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = "".join(lines)
    assert process.returncode == 0, text[-4000:]
    return text


@pytest.fixture
def run_client():
    return run_program
