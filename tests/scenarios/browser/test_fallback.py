"""The fallback page of interactive authentication."""

import pytest

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(360)]


def test_a_person_confirms_an_operation_and_the_client_hears_of_it(in_chromium):
    seen = in_chromium("fallback")

    assert seen["refusal"] == "The user name or the password is wrong."
    assert seen["heading"]
    assert seen["heard"] == "authDone"
    assert seen["after"] == "M_UNKNOWN_TOKEN"
    assert seen["complaints"] == []
