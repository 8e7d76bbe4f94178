"""The fallback page of interactive authentication in headless Chromium, which `make browser` installs."""

import json
import os
import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_BROWSER = _ROOT / "tests" / "browser"

pytestmark = [
    pytest.mark.scenario,
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        not (_BROWSER / "node_modules" / ".installed").exists(), reason="`make browser` installs Chromium"
    ),
]


def test_a_person_confirms_an_operation_and_the_client_hears_of_it(server_of_module, tmp_path):
    screenshots = Path(os.environ.get("SCREENSHOTS", tmp_path))
    screenshots.mkdir(parents=True, exist_ok=True)
    path = f"{_ROOT}/.venv-interop/bin:{os.environ['PATH']}"

    done = subprocess.run(
        ["node", "fallback.mjs", server_of_module.base_url, str(screenshots)],
        cwd=_BROWSER, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=200,
        check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["refusal"] == "The user name or the password is wrong."
    assert seen["heading"]
    assert seen["heard"] == "authDone"
    assert (seen["done"], seen["after"]) == (200, "M_UNKNOWN_TOKEN")
    assert seen["complaints"] == []
