"""Reading `m.room.policy`: whether a room uses a policy server, and which."""

import pytest

from homeserver.core.content.policy import PolicyServer, policy_server_of
from homeserver.core.signing import encode_base64

ALICE = "@alice:example.org"
KEY = bytes(range(224, 256))
URL_SAFE = "6yhHGKhCiXTSEN2ksjV7kX_N6rBQZ3Xb-M7LlC6NS-s"


@pytest.fixture
def policy_of(new_room):
    """Return a function that makes an `m.room.policy`."""
    return lambda content, state_key="": new_room().propose(ALICE, "m.room.policy", content, state_key)


def content(via="policy.example.org", **public_keys):
    return {"via": via, "public_keys": public_keys}


def test_a_policy_server_has_a_name_and_a_key(policy_of):
    event = policy_of(content(ed25519=encode_base64(KEY), other="x"))

    assert policy_server_of(event) == PolicyServer("policy.example.org", KEY)


def test_a_key_may_be_in_the_url_safe_alphabet(policy_of):
    found = policy_server_of(policy_of(content(ed25519=URL_SAFE)))

    assert len(found.public_key) == 32


@pytest.mark.parametrize("text", ["", "?", "AAAA", "é", encode_base64(bytes(33))])
def test_with_what_is_no_key_no_signature_is_right(policy_of, text):
    assert policy_server_of(policy_of(content(ed25519=text))) == PolicyServer("policy.example.org", None)


@pytest.mark.parametrize(
    "invalid",
    [
        {},
        {"via": "policy.example.org"},
        {"public_keys": {"ed25519": URL_SAFE}},
        content(),
        content(other=URL_SAFE),
        content(ed25519=None),
        content(ed25519=[URL_SAFE]),
        content(via=None, ed25519=URL_SAFE),
        content(via=["policy.example.org"], ed25519=URL_SAFE),
        {"via": "policy.example.org", "public_keys": URL_SAFE},
        {"via": "policy.example.org", "public_keys": [URL_SAFE]},
    ],
)
def test_a_room_with_invalid_content_uses_none(policy_of, invalid):
    assert policy_server_of(policy_of(invalid)) is None


def test_a_room_without_the_event_uses_none(policy_of, new_room):
    event = content(ed25519=URL_SAFE)

    assert policy_server_of(None) is None
    assert policy_server_of(policy_of(event, "x")) is None
    assert policy_server_of(new_room().propose(ALICE, "m.room.policy", event)) is None
