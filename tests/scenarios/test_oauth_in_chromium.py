"""The pages of OAuth 2.0 in headless Chromium, which `make browser` installs from the npm registry."""

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


def test_a_person_signs_clients_in_without_scripts_and_all_can_use_the_pages(server_of_module, tmp_path):
    screenshots = Path(os.environ.get("SCREENSHOTS", tmp_path))
    screenshots.mkdir(parents=True, exist_ok=True)
    path = f"{_ROOT}/.venv-interop/bin:{os.environ['PATH']}"

    done = subprocess.run(
        ["node", "oauth.mjs", server_of_module.base_url, str(screenshots)],
        cwd=_BROWSER, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=200,
        check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["state"] == "s t&te"
    assert seen["user"]["user_id"] == "@bettina:localhost"
    assert seen["user"]["device_id"] == "CHROMIUM"
    assert seen["deviceUser"]["device_id"] == "TELEVISION"
    assert seen["signedOut"] == "M_UNKNOWN_TOKEN"
    assert seen["refusedAt"].startswith(f"{server_of_module.base_url}/oauth2/authorize?")
    assert seen["violations"] == []
    assert seen["complaints"] == []
