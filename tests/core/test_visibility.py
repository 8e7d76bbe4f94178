"""Which events a user may see, by the sentences of the specification."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeserver.core.visibility import VisibleHistory, may_see

VISIBILITIES = ["world_readable", "shared", "invited", "joined"]
MEMBERSHIPS = ["join", "invite", "leave", "ban", "knock"]
YES_AND_NO = [True, False]


@pytest.mark.parametrize(("membership", "later"), list(product(MEMBERSHIPS, YES_AND_NO)))
def test_anybody_sees_what_the_world_may_read(membership, later):
    assert may_see("world_readable", membership, later)


@pytest.mark.parametrize(("visibility", "later"), list(product([*VISIBILITIES, "?"], YES_AND_NO)))
def test_who_is_in_the_room_sees_everything(visibility, later):
    assert may_see(visibility, "join", later)


@pytest.mark.parametrize(("visibility", "membership"), list(product(["shared", "?", ""], MEMBERSHIPS[1:])))
def test_who_joins_later_sees_what_is_shared(visibility, membership):
    assert may_see(visibility, membership, membership_later_joined=True)
    assert not may_see(visibility, membership, membership_later_joined=False)


@pytest.mark.parametrize(("membership", "later"), list(product(MEMBERSHIPS[1:], YES_AND_NO)))
def test_who_is_invited_sees_what_is_for_the_invited(membership, later):
    assert may_see("invited", membership, later) is (membership == "invite")


@pytest.mark.parametrize(("membership", "later"), list(product(MEMBERSHIPS[1:], YES_AND_NO)))
def test_who_is_not_in_the_room_does_not_see_what_is_for_the_joined(membership, later):
    assert not may_see("joined", membership, later)


def seen(visibilities, memberships, positions=range(1, 10)):
    history = VisibleHistory(visibilities, memberships)
    return [position for position in positions if history.is_visible(position)]


def test_a_room_without_history_visibility_is_shared():
    assert seen([], [(5, "join")]) == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_a_stranger_sees_nothing_but_what_the_world_may_read():
    assert seen([], []) == []
    assert seen([(3, "world_readable"), (6, "joined")], []) == [3, 4, 5, 6]


def test_who_leaves_keeps_what_was_to_be_seen_and_sees_nothing_new():
    assert seen([(0, "shared")], [(3, "join"), (6, "leave")]) == [1, 2, 3, 4, 5, 6]
    assert seen([(0, "joined")], [(3, "join"), (6, "ban")]) == [3, 4, 5, 6]


def test_who_returns_sees_what_was_shared_in_between():
    assert seen([], [(2, "join"), (4, "leave"), (8, "join")]) == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert seen([(0, "joined")], [(2, "join"), (4, "leave"), (8, "join")]) == [2, 3, 4, 8, 9]


def test_the_invited_see_from_the_invitation_on_until_they_decline():
    assert seen([(0, "invited")], [(4, "invite"), (7, "leave")]) == [4, 5, 6, 7]
    assert seen([(0, "invited")], [(4, "invite"), (7, "join")]) == [4, 5, 6, 7, 8, 9]
    assert seen([(0, "joined")], [(4, "invite"), (7, "join")]) == [7, 8, 9]


def test_a_change_of_the_visibility_shows_and_hides_nothing_that_was_sent_before():
    assert seen([(0, "joined"), (5, "shared")], [(8, "join")]) == [5, 6, 7, 8, 9]
    assert seen([(0, "shared"), (5, "joined")], [(8, "join")]) == [1, 2, 3, 4, 5, 8, 9]


@pytest.mark.parametrize("values", [("world_readable", "joined"), ("joined", "world_readable")])
def test_a_change_of_the_visibility_is_seen_by_who_sees_what_is_before_or_after(values):
    assert 5 in seen([(0, values[0]), (5, values[1])], [])


def test_users_always_see_themselves_join_and_leave():
    assert seen([(0, "joined")], [(3, "join"), (4, "leave"), (6, "join"), (7, "ban")]) == [3, 4, 6, 7]


def test_the_membership_at_an_event_is_the_one_after_it():
    history = VisibleHistory([], [(3, "invite"), (5, "join"), (8, "ban")])

    assert [history.membership_at(position) for position in range(2, 10)] == [
        "leave", "invite", "invite", "join", "join", "join", "ban", "ban",
    ]  # fmt: skip


def test_positions_may_be_negative():
    assert seen([(-9, "joined")], [(-5, "join"), (-3, "leave")], range(-10, 0)) == [-10, -9, -5, -4, -3]


histories = st.lists(st.tuples(st.integers(0, 30), st.sampled_from(VISIBILITIES)), unique_by=lambda e: e[0])
ways = st.lists(st.tuples(st.integers(0, 30), st.sampled_from(MEMBERSHIPS)), unique_by=lambda e: e[0])


@given(histories, ways)
def test_the_history_is_what_the_rules_say_of_each_event(visibilities, memberships):
    visibilities, memberships = sorted(visibilities), sorted(memberships)
    history = VisibleHistory(visibilities, memberships)
    changes = {position for position, _ in [*visibilities, *memberships]}
    for position in set(range(31)) - changes:
        visibility = ["shared", *(value for at, value in visibilities if at < position)][-1]
        membership = ["leave", *(value for at, value in memberships if at < position)][-1]
        later = any(at > position and value == "join" for at, value in memberships)
        assert history.is_visible(position) is may_see(visibility, membership, later)


@given(histories, ways, st.integers(0, 30))
def test_what_was_seen_stays_seen_whatever_happens_later(visibilities, memberships, now):
    visibilities, memberships = sorted(visibilities), sorted(memberships)
    then = VisibleHistory(
        [entry for entry in visibilities if entry[0] <= now], [e for e in memberships if e[0] <= now]
    )
    finally_ = VisibleHistory(visibilities, memberships)

    for position in range(now + 1):
        assert finally_.is_visible(position) or not then.is_visible(position)
