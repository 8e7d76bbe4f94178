"""Bans and kicks that race with what the removed ones do meanwhile; many of them are problems of MSC1442."""

from tests.factory.room_story import case


@case("1", "2", "6", "11", "12")
def a_ban_holds_against_a_join_that_did_not_see_it(room):
    """Alice bans Dave; Dave, who has not heard of it, changes his name, with a clock that is years ahead."""
    room.member("ban", "alice", "ban", "dave")
    room.branch()
    room.member("renamed", "dave", "join", "dave", displayname="D", ts=10**12)
    return {"member dave": "ban"}


@case("2", "6", "11", "12")
def a_ban_holds_against_leaving_and_coming_back(room):
    """Alice bans Dave; on his branch Dave leaves and joins again, so that his newest join names no ban."""
    room.member("ban", "alice", "ban", "dave")
    room.branch()
    room.member("leave", "dave", "leave", "dave")
    room.member("rejoin", "dave", "join", "dave")
    return {"member dave": "ban"}


@case("1", "2", "6", "11", "12")
def what_a_banned_moderator_grants_meanwhile_is_void(room):
    """Alice bans Bob; Bob makes Dave a moderator, by a clock that is earlier than the ban's."""
    room.member("ban", "alice", "ban", "bob", ts=5_000)
    room.branch()
    room.levels("grant", "bob", dave=50, ts=4_000)
    return {"member bob": "ban"}


@case("2", "6", "11", "12")
def a_friend_who_got_power_meanwhile_cannot_use_it(room):
    """Alice bans Bob; Bob makes Dave a moderator, who bans Erin and sets the topic."""
    room.member("ban", "alice", "ban", "bob")
    room.branch()
    room.levels("grant", "bob", dave=50)
    room.member("ban_erin", "dave", "ban", "erin")
    room.topic("topic", "dave")
    return {"member bob": "ban"}


@case("2", "6", "11", "12")
def bans_that_cross_go_by_power_and_not_by_time(room):
    """Bob bans Erin; Carol, whom Alice has made stronger, bans Bob on another branch by a later clock."""
    room.fork = room.levels("stronger", "alice", carol=75)
    room.member("ban_erin", "bob", "ban", "erin", ts=1)
    room.branch()
    room.member("ban_bob", "carol", "ban", "bob", ts=9_000)
    return {"member bob": "ban_bob"}


@case("2", "6", "11", "12")
def a_ban_also_undoes_what_came_just_before_it(room):
    """Bob bans Dave, then stronger Carol bans Bob: no auth event says which was first, so power does."""
    room.fork = room.levels("stronger", "alice", carol=75)
    room.member("ban_dave", "bob", "ban", "dave")
    room.member("ban_bob", "carol", "ban", "bob")
    room.branch()
    room.topic("topic", "alice")
    return {"member bob": "ban_bob", "topic": "topic"}


@case("2", "6", "11", "12")
def a_moderator_demoted_elsewhere_cannot_ban(room):
    """Alice takes Bob's power; on a branch from before that Bob bans Dave, with a clock set back."""
    room.levels("demote", "alice", bob=0, ts=5_000)
    room.branch()
    room.member("ban", "bob", "ban", "dave", ts=1)
    return {"power_levels": "demote"}


@case("2", "6", "11", "12")
def a_kick_does_not_hold_against_a_join_in_a_public_room(room):
    """Bob kicks Dave, who renames himself meanwhile: everybody may join a public room, also after a kick."""
    room.member("kick", "bob", "leave", "dave")
    room.branch()
    room.member("renamed", "dave", "join", "dave", displayname="D")
    return {"member dave": "renamed"}


@case("2", "6", "11", "12")
def a_kick_holds_in_a_private_room(room):
    """The same in a room for invited members: after the kick there is no invitation for Dave."""
    room.fork = room.rules_are("private", "alice", "invite")
    room.member("kick", "bob", "leave", "dave")
    room.branch()
    room.member("renamed", "dave", "join", "dave", displayname="D")
    return {"member dave": "kick"}


@case("2", "6", "11", "12")
def a_kick_and_a_new_invitation(room):
    """Bob kicks Dave from a private room and Carol invites him again afterwards; Dave's old join has no
    say."""
    room.fork = room.rules_are("private", "alice", "invite")
    room.member("kick", "bob", "leave", "dave")
    room.member("invite", "carol", "invite", "dave", ts=8_000)
    room.branch()
    room.topic("topic", "bob")
    return {"member dave": "invite", "topic": "topic"}


@case("2", "6", "11", "12")
def of_two_kicks_that_are_equal_but_for_their_ids_the_greater_id_is_last(room):
    """Bob and Carol, equally powerful and with the same clock, kick Dave: the one tried last stays."""
    room.member("kick_b", "bob", "leave", "dave", ts=5_000)
    room.branch()
    room.member("kick_a", "carol", "leave", "dave", ts=5_000)
    return {"member dave": "kick_b"}


@case("2", "6", "11", "12")
def what_a_kicked_moderator_did_meanwhile_is_void(room):
    """Alice kicks Bob; Bob sets the topic, by a clock that is earlier: a kick is tried before what has
    no power."""
    room.member("kick", "alice", "leave", "bob", ts=9_000)
    room.branch()
    room.topic("topic", "bob", ts=1)
    return {"member bob": "kick"}


@case("2", "6", "11", "12")
def what_somebody_did_who_left_meanwhile_goes_by_the_clock(room):
    """Bob sets the topic on one of his devices and leaves on another, a moment later: leaving is no
    power event."""
    room.member("bye", "bob", "leave", "bob", ts=5_001)
    room.branch()
    room.topic("topic", "bob", ts=5_000)
    return {"member bob": "bye", "topic": "topic"}
