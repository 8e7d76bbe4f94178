"""The pages of OAuth 2.0."""

import pytest

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(360)]


def test_a_person_signs_clients_in_without_scripts_and_all_can_use_the_pages(server_of_module, in_chromium):
    seen = in_chromium("oauth")

    assert seen["state"] == "s t&te"
    assert seen["user"]["user_id"] == "@bettina:localhost"
    assert seen["user"]["device_id"] == "CHROMIUM"
    assert seen["deviceUser"]["device_id"] == "TELEVISION"
    assert seen["signedOut"] == "M_UNKNOWN_TOKEN"
    assert seen["refusedAt"].startswith(f"{server_of_module.base_url}/oauth2/authorize?")
    assert seen["violations"] == []
    assert seen["complaints"] == []
