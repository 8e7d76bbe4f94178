"""The keys of clients that we did not write: cross-signed, claimed, and followed as devices come and go."""

from pathlib import Path

import pytest

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(200)]

_JS = Path(__file__).parent / "js"


async def test_matrix_js_sdk_cross_signs_and_follows_devices_in_an_encrypted_room(server, run_client):
    said = await run_client("node", "keys.mjs", server.base_url, cwd=_JS)

    assert "cross-signed, encrypted, a device that came and one that went" in said
