"""Events without power: what comes of them hangs on the mainline, on clocks and on event IDs."""

from tests.factory.room_story import case


@case("2", "6", "11", "12")
def the_later_of_two_topics_stays(room):
    """Alice and Bob set the topic under the same power levels: the clock decides, not who is more
    powerful."""
    room.topic("by_alice", "alice", ts=5_000)
    room.branch()
    room.topic("by_bob", "bob", ts=5_001)
    return {"topic": "by_bob"}


@case("2", "6", "11", "12")
def of_two_topics_of_one_time_the_greater_id_stays(room):
    """Equal clocks, so event IDs decide."""
    room.topic("topic_b", "alice", ts=5_000)
    room.branch()
    room.topic("topic_a", "bob", ts=5_000)
    return {"topic": "topic_b"}


@case("2", "6", "11", "12")
def the_topic_under_newer_power_levels_stays_whatever_its_clock_says(room):
    """Alice changes levels and then sets the topic with a clock at zero; Bob's topic knew only the old
    levels."""
    room.levels("newer", "alice", dave=10)
    room.topic("under_newer", "alice", ts=0)
    room.branch()
    room.topic("under_older", "bob", ts=10**12)
    return {"power_levels": "newer", "topic": "under_newer"}


@case("2", "6", "11", "12")
def a_long_mainline_is_counted_from_its_end(room):
    """Five times Alice changes levels; the topic of after the fourth beats those of after the first and
    third."""
    for number in range(1, 6):
        room.levels(f"levels{number}", "alice", dave=number)
    for number, ts in ((1, 9_000), (4, 1), (3, 8_000)):
        room.branch(f"$levels{number}")
        room.topic(f"topic{number}", "bob", ts=ts)
    return {"power_levels": "levels5", "topic": "topic4"}


@case("2", "6", "11", "12")
def levels_off_the_mainline_count_by_where_they_left_it(room):
    """Bob's levels lose to Alice's, but his topic under them still counts as one after the levels of the
    fork."""
    room.levels("mainline", "alice", dave=75)
    room.branch()
    room.levels("aside", "bob", erin=1)
    room.topic("aside_topic", "bob", ts=3_000)
    room.branch()
    room.topic("fork_topic", "carol", ts=4_000)
    return {"power_levels": "mainline", "topic": "fork_topic"}


@case("2", "6", "11", "12")
def a_topic_of_one_branch_only_is_kept_if_it_is_allowed(room):
    """Only Bob's branch has a topic, and nothing speaks against it."""
    room.topic("topic", "bob")
    room.branch()
    room.levels("levels2", "alice", dave=10)
    return {"power_levels": "levels2", "topic": "topic"}


@case("2", "6", "11", "12")
def a_topic_of_one_branch_only_is_gone_if_its_sender_lost_the_power(room):
    """Only Bob's branch has a topic, and Alice took his power on the other."""
    room.topic("topic", "bob")
    room.branch()
    room.levels("demote", "alice", bob=0)
    return {"power_levels": "demote"}


@case("1")
def in_the_first_version_what_one_branch_has_is_no_conflict(room):
    """The same there: Bob's topic stays."""
    room.topic("topic", "bob")
    room.branch()
    room.levels("demote", "alice", bob=0)
    return {"power_levels": "demote", "topic": "topic"}


@case("1")
def in_the_first_version_the_deepest_topic_stays(room):
    """Depth decides, whatever clocks say."""
    room.topic("deep", "bob", ts=1, depth=99)
    room.branch()
    room.topic("shallow", "alice", ts=9_000)
    return {"topic": "deep"}


@case("1")
def in_the_first_version_the_lower_hash_decides_between_equal_depths(room):
    """SHA-1 of $topic_c is less than that of $topic_a."""
    room.topic("topic_a", "bob")
    room.branch()
    room.topic("topic_c", "alice")
    return {"topic": "topic_c"}


@case("2", "6", "11", "12")
def three_branches_are_resolved_at_once(room):
    """Alice demotes Bob, Bob sets a topic, Carol kicks Dave: all three branches are heard."""
    room.levels("demote", "alice", bob=0)
    room.branch()
    room.topic("topic", "bob")
    room.branch()
    room.member("kick", "carol", "leave", "dave")
    return {"power_levels": "demote", "member dave": "kick"}


@case("1")
def in_the_first_version_the_shallowest_topic_stays_if_none_is_allowed(room):
    """Alice takes Bob's and Carol's power; on two other branches they set the topic."""
    room.levels("demote", "alice", bob=0, carol=0)
    room.branch()
    room.topic("deep", "bob", depth=99)
    room.branch()
    room.topic("shallow", "carol", depth=9)
    return {"power_levels": "demote", "topic": "shallow"}


def topics_under_agreed_levels(room):
    """Both states have Alice's newer levels; one has a topic of before, by a clock far ahead, one a
    topic since."""
    room.topic("under_older", "bob", ts=10**12)
    room.levels("newer", "alice", dave=10)
    room.topic("under_newer", "alice", ts=0)
    room.fork = "$under_newer"
    room.states = [room.state("newer"), room.state("under_newer")]


@case("2", "6", "11")
def levels_that_all_agree_on_are_the_mainline(room):
    """The levels are unconflicted, and the state that step 3 begins with has them."""
    topics_under_agreed_levels(room)
    return {}


@case("12")
def in_version_12_levels_that_all_agree_on_are_no_mainline(room):
    """The state that step 3 begins with has no levels unless they are conflicted, so the clock decides."""
    topics_under_agreed_levels(room)
    return {"topic": "under_older"}
