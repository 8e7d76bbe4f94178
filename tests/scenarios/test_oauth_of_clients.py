"""matrix-js-sdk signs in by OAuth 2.0 as its own code does it."""

import json
from pathlib import Path

import pytest

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(180)]

_JS = Path(__file__).parent / "js"


async def test_js_sdk_signs_in_by_code_and_by_device_code_refreshes_and_signs_out(
    server, run_client
):
    told = await run_client("node", "oauth.mjs", server.base_url, cwd=_JS)

    said = json.loads(told.splitlines()[-1])
    assert said["state"] == "a state"
    assert (said["user"], said["device"]) == ("@oskar:localhost", "BYCODE")
    assert said["secondDevice"] == "BYDEVICE"
    assert said["gone"] == "M_UNKNOWN_TOKEN"
    assert said["listed"] == [True, False]
    assert said["refusal"] != "still good"
