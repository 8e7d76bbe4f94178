"""The rules for joining a room, sentence by sentence, in every room version that has them."""

import pytest

from homeserver.core.room_versions import ROOM_VERSIONS

ALICE, BOB, DAVE = (f"@{name}:example.org" for name in ("alice", "bob", "dave"))
REMOTE = "@remote:other.org"
ALL = list(ROOM_VERSIONS)
KNOCKING, RESTRICTED, KNOCK_RESTRICTED = ALL[6:], ALL[7:], ALL[9:]
MEMBERSHIPS = ["leave", "join", "invite", "ban", "knock"]


@pytest.mark.parametrize("version", ALL)
def test_the_creator_joins_right_after_creating_the_room(new_room, allows, version):
    assert allows(new_room(version, creator_joins=False), ALICE, ALICE, "join") is None


@pytest.mark.parametrize("version", ALL)
def test_nobody_else_joins_right_after_the_room_was_created(new_room, allows, version):
    assert "not invited" in allows(new_room(version, creator_joins=False), BOB, BOB, "join").reason


def test_an_additional_creator_does_not_join_without_invitation(new_room, allows):
    room = new_room("12", create_content={"additional_creators": [BOB]}, creator_joins=False)

    assert "not invited" in allows(room, BOB, BOB, "join").reason
    assert allows(room, ALICE, ALICE, "join") is None


@pytest.mark.parametrize("version", ALL)
def test_the_creator_who_left_needs_an_invitation(new_room, allows, version):
    room = new_room(version)
    room.member(ALICE, ALICE, "leave")

    assert "not invited" in allows(room, ALICE, ALICE, "join").reason


@pytest.mark.parametrize("version", ALL[:10])
def test_the_creator_is_whom_the_content_names_before_version_11(new_room, allows, version):
    room = new_room(version, create_content={"creator": BOB}, creator_joins=False)

    assert allows(room, BOB, BOB, "join") is None
    assert allows(room, ALICE, ALICE, "join") is not None


@pytest.mark.parametrize("version", ALL)
def test_nobody_joins_for_somebody_else(new_room, allows, version):
    room = new_room(version)
    room.set_state("m.room.join_rules", {"join_rule": "public"})

    assert "somebody else" in allows(room, ALICE, BOB, "join").reason


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("join_rule", ["public", "invite", "knock", "restricted", "knock_restricted"])
def test_a_banned_user_does_not_join(new_room, allows, version, join_rule):
    room = new_room(version)
    room.set_state("m.room.join_rules", {"join_rule": join_rule})
    room.set_member(BOB, "ban")

    assert "banned" in allows(room, BOB, BOB, "join").reason


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("membership", ["leave", "invite", "join"])
def test_anybody_joins_a_public_room(new_room, allows, version, membership):
    room = new_room(version)
    room.set_state("m.room.join_rules", {"join_rule": "public"})
    room.set_member(BOB, membership)

    assert allows(room, BOB, BOB, "join") is None
    assert allows(room, REMOTE, REMOTE, "join") is None


TAKES_INVITE = {
    "invite": ALL, "knock": KNOCKING, "restricted": RESTRICTED, "knock_restricted": KNOCK_RESTRICTED,
}  # fmt: skip


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("membership", MEMBERSHIPS)
@pytest.mark.parametrize("join_rule", [*TAKES_INVITE, "private", "other", "", None, 5, {}])
def test_who_is_invited_or_in_the_room_joins_by_the_rules_of_its_version(
    new_room, allows, version, join_rule, membership
):
    room = new_room(version)
    room.set_state("m.room.join_rules", {"join_rule": join_rule})
    room.set_member(BOB, membership)
    known = isinstance(join_rule, str) and version in TAKES_INVITE.get(join_rule, ())
    expected = known and membership in {"invite", "join"}

    assert (allows(room, BOB, BOB, "join") is None) is expected


@pytest.mark.parametrize("version", ALL)
def test_without_join_rules_a_room_takes_an_invitation(
    new_room, restricted_room, room_with_levels, allows, version
):
    room = new_room(version)

    assert allows(room, BOB, BOB, "join") is not None
    room.member(ALICE, BOB, "invite")
    assert allows(room, BOB, BOB, "join") is None


# --- join on somebody's authority -------------------------------------------------------------------------


@pytest.fixture
def restricted_room(room_with_levels):
    def make(version, **levels):
        room = room_with_levels(version, **levels)
        room.set_state("m.room.join_rules", {"join_rule": "restricted", "allow": []})
        return room

    return make


def join_by(room, authoriser, *signed_by):
    content = {"membership": "join", "join_authorised_via_users_server": authoriser}
    return room.verdict(REMOTE, "m.room.member", content, REMOTE, signed_by=signed_by)


@pytest.mark.parametrize("version", RESTRICTED)
def test_a_restricted_room_is_joined_on_the_authority_of_who_may_invite(restricted_room, version):
    assert join_by(restricted_room(version, invite=50), BOB, "example.org") is None


@pytest.mark.parametrize("version", KNOCK_RESTRICTED)
def test_a_knock_restricted_room_is_joined_on_the_authority_of_who_may_invite(restricted_room, version):
    room = restricted_room(version)
    room.set_state("m.room.join_rules", {"join_rule": "knock_restricted", "allow": []})

    assert join_by(room, BOB, "example.org") is None


@pytest.mark.parametrize("version", RESTRICTED)
def test_a_restricted_room_is_not_joined_on_nobodys_authority(restricted_room, allows, version):
    assert "nobody's authority" in allows(restricted_room(version), REMOTE, REMOTE, "join").reason


@pytest.mark.parametrize("version", RESTRICTED)
def test_the_authority_must_be_able_to_invite(restricted_room, version):
    room = restricted_room(version, invite=50)

    assert "may not invite" in join_by(room, DAVE, "example.org").reason


@pytest.mark.parametrize("version", RESTRICTED)
@pytest.mark.parametrize("membership", ["leave", "invite", "ban", "knock"])
def test_the_authority_must_be_in_the_room(restricted_room, version, membership):
    room = restricted_room(version)
    room.set_member(BOB, membership)

    assert "not in the room" in join_by(room, BOB, "example.org").reason


@pytest.mark.parametrize("version", RESTRICTED)
def test_the_server_of_the_authority_must_have_signed(restricted_room, version):
    room = restricted_room(version)

    assert "not signed" in join_by(room, BOB).reason
    assert "not signed" in join_by(room, BOB, "third.org").reason


@pytest.mark.parametrize("version", RESTRICTED)
@pytest.mark.parametrize("authoriser", [None, 5, [], "", "bob", {}])
def test_an_authority_that_is_no_user_has_signed_nothing(restricted_room, version, authoriser):
    assert "not signed" in join_by(restricted_room(version), authoriser, "example.org").reason


@pytest.mark.parametrize("version", RESTRICTED)
@pytest.mark.parametrize("membership", ["join", "invite", "leave", "ban"])
def test_the_signature_is_asked_for_with_any_membership(restricted_room, allows, version, membership):
    room = restricted_room(version)
    target = ALICE if membership == "join" else REMOTE
    if membership == "leave":
        room.set_member(REMOTE, "invite")

    assert allows(room, ALICE, target, membership) is None
    denied = allows(room, ALICE, target, membership, join_authorised_via_users_server="@x:third.org")
    assert "not signed" in denied.reason


@pytest.mark.parametrize("version", ALL[:7])
def test_authority_means_nothing_before_version_8(restricted_room, version):
    room = restricted_room(version)

    assert "not invited" in join_by(room, BOB, "example.org").reason
    room.set_state("m.room.join_rules", {"join_rule": "public"})
    assert join_by(room, BOB) is None
