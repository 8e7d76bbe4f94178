"""The rules for redeeming an invitation by a third party, with real signatures."""

import pytest

from homeserver.core.auth.third_party import VERIFICATIONS_MAX
from homeserver.core.room_versions import ROOM_VERSIONS
from homeserver.core.signing import SigningKey, sign_json

ALICE, BOB = "@alice:example.org", "@bob:example.org"
KEY, OTHER_KEY = SigningKey(b"1" * 32, "0"), SigningKey(b"2" * 32, "0")
ALL = list(ROOM_VERSIONS)
BY_ONE_KEY = {"public_key": KEY.public_key_base64}


def sign(mxid=BOB, token="abc", key=KEY):
    return sign_json({"mxid": mxid, "token": token}, "id.example.org", key)


@pytest.fixture
def redeem(new_room):
    """Let Alice make the invitation and redeem it for Bob with what is given."""

    def verdict(version, signed, *, invite=BY_ONE_KEY, bob_was=None, inviter=ALICE):
        room = new_room(version)
        if bob_was is not None:
            room.set_member(BOB, bob_was)
        room.force(inviter, "m.room.third_party_invite", invite, "abc")
        content = {"membership": "invite", "third_party_invite": {"display_name": "b...", "signed": signed}}
        return room.verdict(ALICE, "m.room.member", content, BOB)

    return verdict


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(
    "invite",
    [
        BY_ONE_KEY,
        {"public_keys": [BY_ONE_KEY]},
        {"public_key": OTHER_KEY.public_key_base64, "public_keys": [{}, BY_ONE_KEY]},
        {"public_key": KEY.public_key_base64.replace("+", "-").replace("/", "_")},
        {"public_key": KEY.public_key_base64 + "="},
    ],
)
def test_any_key_of_the_invitation_will_do(redeem, version, invite):
    assert redeem(version, sign(), invite=invite) is None


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("bob_was", ["leave", "invite", "join", "knock"])
def test_the_level_and_the_membership_matter_to_other_invitations_only(redeem, version, bob_was):
    assert redeem(version, sign(), bob_was=bob_was) is None


@pytest.mark.parametrize("version", ALL)
def test_a_banned_user_is_not_invited(redeem, version):
    assert "banned" in redeem(version, sign(), bob_was="ban").reason


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("signed", [None, "x", [], 5])
def test_what_is_not_signed_is_refused(redeem, version, signed):
    assert "not signed" in redeem(version, signed).reason


@pytest.mark.parametrize("third_party_invite", [None, {}, [], "x", {"signed": None}])
def test_a_garbled_invitation_is_no_plain_invitation(new_room, third_party_invite):
    content = {"membership": "invite", "third_party_invite": third_party_invite}

    assert "not signed" in new_room().verdict(ALICE, "m.room.member", content, BOB).reason


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("missing", ["mxid", "token"])
def test_user_and_token_must_be_there(redeem, version, missing):
    signed = sign()

    assert "lacks" in redeem(version, {**signed, missing: None}).reason
    del signed[missing]
    assert "lacks" in redeem(version, signed).reason


@pytest.mark.parametrize("version", ALL)
def test_it_is_for_one_user(redeem, version):
    assert "another user" in redeem(version, sign(mxid="@carol:example.org")).reason


@pytest.mark.parametrize("version", ALL)
def test_the_invitation_must_be_in_the_room(redeem, version):
    assert "no such" in redeem(version, sign(token="other")).reason


@pytest.mark.parametrize("version", ALL)
def test_it_is_redeemed_by_who_made_it(redeem, version):
    assert "Somebody else" in redeem(version, sign(), inviter="@carol:example.org").reason


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(
    "signed",
    [
        {"mxid": BOB, "token": "abc"},
        {"mxid": BOB, "token": "abc", "signatures": []},
        {"mxid": BOB, "token": "abc", "signatures": {"id.example.org": "x"}},
        {"mxid": BOB, "token": "abc", "signatures": {"id.example.org": {"ed25519:0": 5, "rsa:0": "abcd"}}},
        {"mxid": BOB, "token": "abc", "signatures": {"id.example.org": {"ed25519:0": "abcd"}}},
        sign(key=OTHER_KEY),
        {**sign(), "more": 1},
    ],
)
def test_the_signature_must_be_right(redeem, version, signed):
    assert "has signed it" in redeem(version, signed).reason


@pytest.mark.parametrize(
    "invite",
    [
        {},
        {"public_key": 5, "public_keys": {}},
        {"public_key": "!", "public_keys": ["x", None, {"public_key": []}]},
        {"public_key": "abcd", "public_keys": [{"public_key": OTHER_KEY.public_key_base64}]},
    ],
)
def test_an_invitation_without_the_key_is_not_redeemed(redeem, invite):
    assert "has signed it" in redeem("12", sign(), invite=invite).reason


def test_signatures_are_not_tried_without_end(redeem, monkeypatch):
    tried = []
    monkeypatch.setattr(
        "homeserver.core.auth.third_party.verify_json", lambda *attempt: tried.append(attempt) is not None
    )
    signatures = {"id.example.org": {f"ed25519:{number}": "abcd" for number in range(300)}}
    keys = [{"public_key": OTHER_KEY.public_key_base64}] * 300
    denied = redeem(
        "12", {"mxid": BOB, "token": "abc", "signatures": signatures}, invite={"public_keys": keys}
    )

    assert denied is not None
    assert len(tried) == VERIFICATIONS_MAX


def test_a_third_party_invitation_counts_for_invitations_only(new_room):
    room = new_room()
    room.send(ALICE, "m.room.third_party_invite", BY_ONE_KEY, "abc")
    content = {"membership": "join", "third_party_invite": {"signed": sign()}}

    assert "not invited" in room.verdict(BOB, "m.room.member", content, BOB).reason
