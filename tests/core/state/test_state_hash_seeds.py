"""State resolution does not hang on the order in which a process's sets give out their strings."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def resolutions(seed):
    return subprocess.run(
        [sys.executable, "-m", "tests.core.state.print_resolutions"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_rooms_resolve_alike_under_every_hash_seed():
    first, second, third = (resolutions(seed) for seed in ("0", "1", "2"))

    assert len(first.splitlines()) == 120
    assert first == second == third
