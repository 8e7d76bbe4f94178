"""The account page."""

import pytest

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(360)]


@pytest.mark.usefixtures("server_of_module")
def test_a_person_looks_after_their_account_without_scripts_and_all_can_use_the_pages(in_chromium):
    seen = in_chromium("account")

    assert seen["profile"] == {"displayname": "Clara & Co"}
    assert "password is wrong" in seen["refusal"]
    assert seen["signedOut"] == "M_UNKNOWN_TOKEN"
    assert seen["violations"] == []
    assert seen["complaints"] == []
