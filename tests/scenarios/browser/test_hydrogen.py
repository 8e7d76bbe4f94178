"""Hydrogen, a web client that we did not write, on an origin of its own."""

import pytest

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(360)]

CHAT = ["Is there tea?", "There is."]
SECRET = ["The key is under the mat.", "Which mat?", "The red one."]


def test_two_people_make_accounts_log_in_chat_and_keep_a_secret(in_chromium):
    seen = in_chromium("hydrogen")

    assert seen["registered"] == "You are @anna:localhost; asked for: m.login.dummy."
    assert seen["taken"].startswith("M_USER_IN_USE")
    assert "correct" in seen["refusal"]
    assert seen["chat"] == {"anna": CHAT, "bert": CHAT}
    assert seen["secret"] == {"anna": SECRET, "bert": SECRET}
    assert seen["types"] == ["m.room.encrypted"] * 3
    assert not [text for text in SECRET if text in seen["kept"]]
    assert seen["complaints"] == []


def test_somebody_signs_in_on_the_pages_of_the_server_and_comes_back_to_the_client(in_chromium):
    assert in_chromium("sso") == {"back": True, "token": False, "complaints": []}
