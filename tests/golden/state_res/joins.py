"""Joins and invitations that race with changes of who may join."""

from homeserver.core.signing import SigningKey, sign_json
from tests.factory.room_story import case

KEY = SigningKey(b"t" * 32, "0")


@case("2", "6", "11", "12")
def a_join_loses_against_the_room_becoming_private(room):
    """Alice makes the room private; Erin joins on a branch where it is public, by an earlier clock."""
    room.rules_are("private", "alice", "invite", ts=9_000)
    room.branch()
    room.member("join", "erin", "join", "erin", ts=1)
    return {"join_rules": "private"}


@case("1")
def in_the_first_version_a_join_on_one_branch_is_no_conflict(room):
    """The same there: only one state knows of Erin, so she stays."""
    room.rules_are("private", "alice", "invite")
    room.branch()
    room.member("join", "erin", "join", "erin")
    return {"join_rules": "private", "member erin": "join"}


@case("2", "6", "11", "12")
def who_was_invited_stays_when_the_room_becomes_private(room):
    """The same, but Bob had invited Erin before she joined."""
    room.rules_are("private", "alice", "invite")
    room.branch()
    room.member("invite", "bob", "invite", "erin")
    room.member("join", "erin", "join", "erin")
    return {"join_rules": "private", "member erin": "join"}


@case("2", "6", "11", "12")
def a_renaming_is_not_undone_by_the_room_becoming_private(room):
    """Dave renames himself meanwhile: he was in the room, so the rule does not concern him."""
    room.rules_are("private", "alice", "invite")
    room.branch()
    room.member("renamed", "dave", "join", "dave", displayname="D")
    return {"join_rules": "private", "member dave": "renamed"}


@case("2", "6", "11", "12")
def who_accepted_an_invitation_is_in_though_the_inviter_was_kicked_meanwhile(room):
    """Alice kicks Bob from the private room; Bob invites Erin, who joins: the join falls back on the
    invitation."""
    room.fork = room.rules_are("private", "alice", "invite")
    room.member("kick", "alice", "leave", "bob")
    room.branch()
    room.member("invite", "bob", "invite", "erin")
    room.member("join", "erin", "join", "erin")
    return {"member bob": "kick", "member erin": "join"}


@case("2", "6", "11", "12")
def an_invitation_alone_is_void_if_the_inviter_was_kicked_meanwhile(room):
    """The same, but Erin has not joined."""
    room.fork = room.rules_are("private", "alice", "invite")
    room.member("kick", "alice", "leave", "bob")
    room.branch()
    room.member("invite", "bob", "invite", "erin")
    return {"member bob": "kick"}


@case("8", "10", "11", "12")
def a_restricted_join_needs_its_authoriser_in_the_room(room):
    """Alice kicks Bob; on Bob's authority Erin joins meanwhile, as a member of another room."""
    room.fork = room.rules_are("restricted", "alice", "restricted")
    room.member("kick", "alice", "leave", "bob")
    room.branch()
    room.member("join", "erin", "join", "erin", join_authorised_via_users_server="@bob:b")
    return {"member bob": "kick"}


@case("8", "10", "11", "12")
def a_restricted_join_needs_its_authoriser_to_be_able_to_invite(room):
    """Alice lets only 50 and more invite, and takes Bob's power; Erin joins on his authority, Dave on
    Carol's."""
    room.fork = room.rules_are("restricted", "alice", "restricted")
    room.member("bye", "dave", "leave", "dave")
    room.fork = "$bye"
    room.levels("levels2", "alice", bob=0, invite=50)
    room.branch()
    room.member("join_erin", "erin", "join", "erin", join_authorised_via_users_server="@bob:b")
    room.member("join_dave", "dave", "join", "dave", join_authorised_via_users_server="@carol:c")
    return {"power_levels": "levels2", "member dave": "join_dave"}


def third_party_room(room, withdrawn_ts):
    """Let Bob invite a friend by address; he withdraws it while the friend, Erin, redeems it."""
    invite = {"display_name": "e…", "public_key": KEY.public_key_base64}
    room.fork = room.say("by_address", "bob", "third_party_invite", invite, "token")
    room.say("withdrawn", "bob", "third_party_invite", {}, "token", ts=withdrawn_ts)
    room.branch()
    signed = sign_json({"mxid": "@erin:e", "token": "token"}, "id.example.org", KEY)
    third_party_invite = {"display_name": "e…", "signed": signed}
    room.member("redeemed", "bob", "invite", "erin", third_party_invite=third_party_invite, ts=5_000)


@case("2", "6", "11", "12")
def an_invitation_by_address_that_was_withdrawn_earlier_is_not_redeemed(room):
    """Bob withdraws the invitation a moment before it is redeemed on another branch."""
    third_party_room(room, withdrawn_ts=4_999)
    return {"third_party_invite token": "withdrawn"}


@case("2", "6", "11", "12")
def an_invitation_by_address_that_is_withdrawn_later_has_been_redeemed(room):
    """Bob withdraws the invitation a moment after it is redeemed on another branch."""
    third_party_room(room, withdrawn_ts=5_001)
    return {"third_party_invite token": "withdrawn", "member erin": "redeemed"}


@case("2", "6", "11", "12")
def a_second_join_rests_on_the_first_though_that_is_not_allowed(room):
    """Erin joins and renames herself while the room becomes private: the renaming falls back on the join."""
    room.rules_are("private", "alice", "invite")
    room.branch()
    room.member("join", "erin", "join", "erin")
    room.member("renamed", "erin", "join", "erin", displayname="E")
    return {"join_rules": "private", "member erin": "renamed"}
