"""A server as an operator runs it, from outside."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLI = (sys.executable, "-m", "homeserver.app.cli")
pytestmark = pytest.mark.scenario


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A server with a data directory of its own."""

    def __init__(self, directory):
        self.port, self.metrics_port = free_port(), free_port()
        self.environment = {
            **os.environ,
            "ISTHMUS_DATA_DIRECTORY": str(directory / "data"),
            "ISTHMUS_LISTENERS": f'[{{address = "127.0.0.1", port = {self.port}}}]',
            "ISTHMUS_METRICS__PORT": str(self.metrics_port),
        }
        self.running = None

    def start(self):
        self.running = subprocess.Popen(
            [*CLI, "run"], cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True,
        )  # fmt: skip
        return [self.running.stdout.readline(), self.running.stdout.readline()]

    def stop(self, number=signal.SIGTERM):
        self.running.send_signal(number)
        status = self.running.wait(30)
        self.running.stdout.close()
        return status

    def get(self, path, port=None):
        with urllib.request.urlopen(f"http://127.0.0.1:{port or self.port}{path}", timeout=10) as answered:
            return answered.status, answered.read().decode()

    def call(self, *arguments):
        return subprocess.run(
            [*CLI, *arguments], cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def process():
    with tempfile.TemporaryDirectory(prefix="isthmus-app-") as name:
        Path(name).chmod(0o755)  # the embedded PostgreSQL may run as another user
        one = Process(Path(name))
        one.said = one.start()
        yield one
        if one.running.poll() is None:
            one.stop()


def test_a_server_says_that_it_is_ready_and_what_to_do_next(process):
    assert f"is ready: http://127.0.0.1:{process.port} (server name localhost)" in process.said[0]
    assert "register-user NAME" in process.said[1]


def test_a_browser_sees_a_page(process):
    status, page = process.get("/")

    assert status == 200
    assert "It works" in page


def test_health_and_metrics_are_served(process):
    assert process.get("/health")[0] == process.get("/ready")[0] == 200
    assert "isthmus_http_requests_total" in process.get("/metrics", process.metrics_port)[1]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        process.get("/metrics")


def test_the_operator_makes_users(process):
    made = process.call("register-user", "root", "--admin", "--generate")
    again = process.call("register-user", "root", "--password", "correct horse")

    assert made.stdout.startswith("Made @root:localhost.\nPassword: ")
    assert again.returncode == 1
    assert "root is taken" in again.stderr


def test_without_a_configuration_anyone_on_this_machine_may_register(process):
    body = {"username": "alice", "password": "correct horse", "auth": {"type": "m.login.dummy"}}
    url = f"http://127.0.0.1:{process.port}/_matrix/client/v3/register"
    with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=10) as answered:
        assert json.load(answered)["user_id"] == "@alice:localhost"


def test_a_port_in_use_is_told(process):
    with tempfile.TemporaryDirectory(prefix="isthmus-app-") as name:
        Path(name).chmod(0o755)
        second = Process(Path(name))
        second.environment["ISTHMUS_LISTENERS"] = process.environment["ISTHMUS_LISTENERS"]
        answer = second.call("run")

    assert answer.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{process.port}" in answer.stderr


def test_a_data_directory_in_use_is_told(process):
    answer = process.call("run")

    assert answer.returncode == 1
    assert "Another server uses" in answer.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_later_start_finds_everything_within_two_seconds(process, number):
    name = f"kept-{number}"
    process.call("register-user", name, "--password", "correct horse")
    assert process.stop(number) == 0
    began = time.monotonic()
    process.start()
    took_s = time.monotonic() - began

    again = process.call("register-user", name, "--password", "correct horse")
    assert f"{name} is taken" in again.stderr
    assert took_s < 4, "2 seconds, and as much again for a busy machine"
