"""Programs that drive headless Chromium; `make browser` installs what they need and keeps what they saw."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.scenarios.conftest import _running

_ROOT = Path(__file__).parents[3]
_HERE = Path(__file__).parent
_SCREENSHOTS = Path(os.environ.get("SCREENSHOTS") or _ROOT / "build" / "screenshots").resolve()
_TIMEOUT_S = 300
"""Of a program as a whole, on a machine that has much else to do; each of its steps has 30 seconds."""


@pytest.fixture(scope="session")
def _server_of_all():
    with _running() as one:
        yield one


@pytest.fixture(scope="module")
def server_of_module(_server_of_all):
    """One server for all programs, in each of which other people act; a module may have one of its own."""
    return _server_of_all


@pytest.fixture
def in_chromium(server_of_module):
    """Runs a program of this folder against the server of the module; returns what it told."""

    def run(program: str):
        assert (_HERE / "node_modules" / ".chromium").exists(), "Run `make browser`, which installs Chromium."
        screenshots = _SCREENSHOTS / program
        screenshots.mkdir(parents=True, exist_ok=True)
        for old in screenshots.glob("[0-9][0-9]-*.png"):
            old.unlink()
        path = f"{_ROOT / '.venv-interop' / 'bin'}:{os.environ['PATH']}"
        done = subprocess.run(
            ["node", f"{program}.mjs", server_of_module.base_url, str(screenshots)],
            cwd=_HERE, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=_TIMEOUT_S,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-6000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run
