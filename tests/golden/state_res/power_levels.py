"""Changes of power levels that race."""

from tests.factory.room_story import case


@case("2", "6", "11", "12")
def of_two_changes_by_one_admin_the_later_one_stays(room):
    """Alice's two servers set levels at once: both are allowed, so the later clock is tried last and
    stays."""
    room.levels("later", "alice", dave=10, ts=6_000)
    room.branch()
    room.levels("earlier", "alice", dave=20, ts=5_000)
    return {"power_levels": "later"}


@case("2", "6", "11", "12")
def of_two_changes_at_one_time_the_greater_id_stays(room):
    """The same with equal clocks: event IDs decide."""
    room.levels("change_a", "alice", dave=10, ts=5_000)
    room.branch()
    room.levels("change_b", "alice", dave=20, ts=5_000)
    return {"power_levels": "change_b"}


@case("2", "6", "11", "12")
def the_weaker_is_tried_last_and_stays_if_it_may(room):
    """Alice gives Dave 25, Bob concurrently Erin 25: Bob may do both what he did and undo what Alice did."""
    room.levels("by_alice", "alice", dave=25, ts=9_000)
    room.branch()
    room.levels("by_bob", "bob", erin=25, ts=1)
    return {"power_levels": "by_bob"}


@case("2", "6", "11", "12")
def the_weaker_cannot_undo_what_is_above_its_power(room):
    """Alice gives Dave 75; Bob's concurrent change would take that away from Dave, and Bob has only 50."""
    room.levels("by_alice", "alice", dave=75)
    room.branch()
    room.levels("by_bob", "bob", erin=25)
    return {"power_levels": "by_alice"}


@case("2", "6", "11", "12")
def a_chain_of_grants_stands_without_its_root(room):
    """Alice demotes Bob; on the other branch Bob empowers Dave, Dave empowers Erin: none of it holds."""
    room.levels("demote", "alice", bob=0)
    room.branch()
    room.levels("grant_dave", "bob", dave=50)
    room.member("join_erin", "erin", "join", "erin")
    room.levels("grant_erin", "dave", dave=50, erin=50)
    return {"power_levels": "demote", "member erin": "join_erin"}


@case("2", "6", "11", "12")
def who_gives_up_power_cannot_take_it_back_on_another_branch(room):
    """Bob gives up his power; what he does on another branch counts by the earlier clock, and only that."""
    room.levels("resign", "bob", bob=0, ts=5_000)
    room.branch()
    room.levels("early", "bob", dave=10, ts=4_000)
    room.rules_are("late", "bob", "invite", ts=6_000)
    return {"power_levels": "resign"}


@case("2", "6", "11")
def admins_of_equal_power_who_demote_themselves_and_others(room):
    """Alice makes Bob an admin; Alice gives up her power while Bob, unaware, changes a level: the later
    stays."""
    room.fork = room.levels("both", "alice", bob=100)
    room.levels("resign", "alice", alice=0, bob=100, ts=7_000)
    room.branch()
    room.levels("change", "bob", bob=100, dave=10, ts=8_000)
    # Bob's event does not have Alice's resignation, and he may give her 100 again.
    return {"power_levels": "change"}


@case("12")
def creators_are_above_every_level(room):
    """Bob gives himself no more than he has; Alice demotes him meanwhile and needs no level of her own
    for it."""
    room.levels("demote", "alice", bob=0, ts=9_000)
    room.branch()
    room.levels("change", "bob", dave=50, ts=1)
    return {"power_levels": "demote"}


@case("1")
def in_the_first_version_depth_decides(room):
    """Alice's levels are deeper than Bob's: hers are tried on top of his, and stay; clocks do not matter."""
    room.topic("pad", "alice")
    room.levels("deep", "alice", dave=75, ts=1)
    room.branch()
    room.levels("shallow", "bob", erin=25, ts=9_000)
    return {"topic": "pad", "power_levels": "deep"}


@case("1")
def in_the_first_version_the_deeper_one_falls_if_it_may_not_follow(room):
    """Bob's levels are deeper, but undo what Alice gave: they may not replace hers."""
    room.levels("shallow", "alice", dave=75)
    room.branch()
    room.topic("pad", "bob")
    room.levels("deep", "bob", erin=25)
    return {"topic": "pad", "power_levels": "shallow"}
