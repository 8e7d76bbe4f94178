"""State that falls back to an older one: the problems of MSC4297, and states that servers were told
wrongly."""

from tests.factory.room_story import case


def problem_a(room):
    """Alice makes the room private and leaves; a server that joins later is told of the older join rule."""
    room.rules_are("private", "alice", "invite")
    room.member("bye", "alice", "leave", "alice")
    room.fork = "$bye"
    room.states = [room.state("bye"), room.state("bye", join_rules="rules")]


@case("2", "6", "11")
def problem_a_of_msc4297_loses_the_join_rule(room):
    """Both rules are tried against a room that Alice has left, so none is allowed: what version 12 came
    to mend."""
    problem_a(room)
    return {"join_rules": None}


@case("12")
def problem_a_of_msc4297_is_mended_in_version_12(room):
    """Each rule is tried against what allowed it, and the newer one stays."""
    problem_a(room)
    return {}


def problem_b(room):
    """Alice makes Dave an admin, Dave changes levels; a server is told of levels of before all this."""
    room.levels("empower", "alice", dave=75)
    room.topic("topic", "dave")
    room.levels("change", "dave", dave=75, erin=10)
    room.fork = "$change"
    room.states = [room.state("change"), room.state("change", power_levels="levels")]


@case("2", "6", "11")
def problem_b_of_msc4297_falls_back_to_older_levels(room):
    """What empowered Dave is in the chains of both states, through the topic, so it is not tried again."""
    problem_b(room)
    return {"power_levels": "levels"}


@case("12")
def problem_b_of_msc4297_is_mended_in_version_12(room):
    """What empowered Dave lies between the two levels, so it is tried as well, and Dave's levels stay."""
    problem_b(room)
    return {}


@case("1")
def the_first_version_falls_back_to_an_older_topic_that_is_deeper(room):
    """Carol sets the topic on a branch that is deeper, whatever has become of her since."""
    room.topic("old", "bob", depth=50)
    room.topic("new", "bob", depth=3)
    room.fork = "$new"
    room.states = [room.state("new"), room.state("old")]
    return {"topic": "old"}


@case("2", "6", "11", "12")
def a_member_whom_one_state_lacks_is_kept(room):
    """A server was told of a state without Dave: nothing speaks against his join."""
    room.topic("topic", "bob")
    room.states = [room.state("topic"), room.state("topic", **{"member dave": None})]
    return {"topic": "topic"}


@case("2", "6", "11", "12")
def a_newer_state_beats_its_own_past(room):
    """One state is the past of the other: all that was changed since stays changed."""
    room.levels("levels2", "alice", bob=0)
    room.member("kick", "carol", "leave", "dave")
    room.topic("topic", "carol")
    room.states = [room.state("topic"), room.state("dave")]
    return {"power_levels": "levels2", "member dave": "kick", "topic": "topic"}


@case("2", "6", "11", "12")
def a_ban_comes_back_from_the_chain_of_what_followed_it(room):
    """A state has Dave's old join, but the unban in the other names the ban: ban and unban are tried in
    turn."""
    room.member("ban", "alice", "ban", "dave")
    room.member("unban", "alice", "leave", "dave")
    room.states = [room.state("unban"), room.state("dave")]
    return {"member dave": "unban"}


@case("2", "6", "11", "12")
def a_rejected_event_allows_nothing(room):
    """No state has Bob's join, which was rejected, so the topic that one of them has may not fall back
    on it."""
    room.say("name", "bob", "name", {"name": "N"})
    room.topic("topic", "bob")
    room.states = [room.state("name", **{"member bob": None}), room.state("topic", **{"member bob": None})]
    room.rejected.add("$bob")
    return {"member bob": None, "name": "name"}


@case("2", "6", "11", "12")
def what_only_one_chain_has_is_tried_again_even_if_it_was_rejected(room):
    """The same, but the other state knows nothing of Bob: his join is in the auth difference, and is
    allowed."""
    room.topic("topic", "bob")
    room.states = [room.state("topic", **{"member bob": None}), room.state("dave", **{"member bob": None})]
    room.rejected.add("$bob")
    return {"topic": "topic"}


def levels_with_a_gap(room):
    """Alice changes levels twice, then by a clock at zero; a server is told of the first levels."""
    room.levels("middle", "alice", dave=10)
    room.topic("topic", "alice")
    room.levels("change", "alice", dave=20, ts=0)
    room.fork = "$change"
    room.states = [room.state("change"), room.state("change", power_levels="levels")]


@case("2", "6", "11")
def what_is_between_two_conflicted_events_does_not_order_them(room):
    """The levels between are in both chains, so only the clock says which of the others was first."""
    levels_with_a_gap(room)
    return {"power_levels": "levels"}


@case("12")
def in_version_12_what_is_between_is_conflicted_as_well(room):
    """The subgraph has the levels between, so the order is as it was, whatever the clock says."""
    levels_with_a_gap(room)
    return {}
