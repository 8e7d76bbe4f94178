"""One user's devices, and what they add up to as time passes."""

import pytest

from homeserver.ephemeral.present_user import (
    ACTIVE_MS,
    DEVICES_MAX,
    DISCONNECT_MS,
    IDLE_MS,
    OFFLINE,
    ONLINE,
    UNAVAILABLE,
    PresentUser,
)
from homeserver.runtime.token_bucket import TokenBucket

WALL_MS = 1_800_000_000_000
START_MS = 1_000


class Clock:
    """A user and the time, moved by hand; what is due by then is done."""

    def __init__(self):
        self.ms = START_MS
        self.user = PresentUser("@alice:localhost", 0, None, TokenBucket(1, 10, START_MS))

    @property
    def times(self):
        return self.ms, WALL_MS + self.ms

    def after(self, milliseconds):
        self.ms += milliseconds
        self.user.drop_devices(self.ms)
        return self.state

    @property
    def state(self):
        return self.user.state(self.ms)


@pytest.fixture
def clock():
    return Clock()


def test_a_device_that_syncs_is_online_then_idle_then_wakes_up_by_what_it_does(clock):
    clock.user.connect("A", None, *clock.times)
    assert clock.state == (ONLINE, True)
    assert clock.user.last_active_ms == WALL_MS + START_MS

    assert clock.after(ACTIVE_MS - 1) == (ONLINE, True)
    assert clock.after(1) == (ONLINE, False)
    assert clock.after(IDLE_MS - ACTIVE_MS - 1) == (ONLINE, False)
    assert clock.after(1) == (UNAVAILABLE, False)
    assert clock.user.deadline_ms(clock.ms) is None, "whoever is idle and connected costs nothing"
    assert clock.after(10 * IDLE_MS) == (UNAVAILABLE, False)

    clock.user.be_active("A", *clock.times)
    assert clock.state == (ONLINE, True)


def test_deadlines_are_when_the_state_changes_and_not_before(clock):
    clock.user.connect("A", None, *clock.times)
    seen = [clock.state]
    while (deadline_ms := clock.user.deadline_ms(clock.ms)) is not None:
        assert clock.user.state(deadline_ms - 1) == clock.state
        clock.after(deadline_ms - clock.ms)
        seen.append(clock.state)
        if seen[-1] == (UNAVAILABLE, False):
            clock.user.disconnect("A", clock.ms)

    assert seen == [(ONLINE, True), (ONLINE, False), (UNAVAILABLE, False), (OFFLINE, False)]
    assert clock.user.is_gone


def test_between_two_polls_a_device_stays_and_after_the_last_it_is_given_a_while(clock):
    clock.user.connect("A", None, *clock.times)
    clock.user.disconnect("A", clock.ms)
    assert clock.after(DISCONNECT_MS - 1) == (ONLINE, True)
    clock.user.connect("A", None, *clock.times)
    assert clock.after(DISCONNECT_MS) == (ONLINE, True)

    clock.user.disconnect("A", clock.ms)
    assert clock.after(DISCONNECT_MS) == (OFFLINE, False)


def test_the_most_active_device_wins(clock):
    clock.user.connect("A", UNAVAILABLE, *clock.times)
    assert clock.state == (UNAVAILABLE, False)
    assert clock.user.last_active_ms == 0, "to be marked as idle is no activity"
    clock.user.connect("B", ONLINE, *clock.times)
    clock.user.be_active("B", *clock.times)
    assert clock.state == (ONLINE, True)

    clock.user.disconnect("B", clock.ms)
    assert clock.after(DISCONNECT_MS) == (UNAVAILABLE, False)
    clock.user.disconnect("A", clock.ms)
    assert clock.after(DISCONNECT_MS) == (OFFLINE, False)


def test_what_was_set_by_hand_lasts_until_the_user_does_something(clock):
    clock.user.connect("A", None, *clock.times)
    clock.user.set_by_hand("A", UNAVAILABLE, *clock.times)
    clock.user.disconnect("A", clock.ms)
    clock.user.connect("A", None, *clock.times)
    assert clock.state == (UNAVAILABLE, False), "a poll that says nothing is not of another opinion"

    clock.user.be_active("A", *clock.times)
    assert clock.state == (ONLINE, True)
    clock.user.set_by_hand("A", UNAVAILABLE, *clock.times)
    clock.user.connect("A", ONLINE, *clock.times)
    assert clock.state == (ONLINE, True), "one that says so is"


def test_offline_by_hand_is_at_once_and_until_the_next_poll(clock):
    clock.user.connect("A", None, *clock.times)
    clock.user.set_by_hand("A", OFFLINE, *clock.times)
    assert clock.state == (OFFLINE, False)
    clock.user.be_active("A", *clock.times)
    assert clock.state == (OFFLINE, False), "whoever hides stays hidden"
    clock.user.disconnect("A", clock.ms)
    assert clock.user.is_gone

    clock.user.connect("A", None, *clock.times)
    assert clock.state == (ONLINE, True)


def test_online_by_hand_without_syncing_lasts_a_while(clock):
    clock.user.set_by_hand("A", ONLINE, *clock.times)
    assert clock.state == (ONLINE, True)
    assert clock.user.deadline_ms(clock.ms) == START_MS + DISCONNECT_MS
    assert clock.after(DISCONNECT_MS) == (OFFLINE, False)


def test_activity_elsewhere_wakes_up_those_who_were_put_to_sleep(clock):
    clock.user.connect("A", UNAVAILABLE, *clock.times)
    clock.user.be_active("a device that does not sync", *clock.times)
    assert clock.state == (ONLINE, True)


def test_who_is_expected_back_after_a_restart_keeps_the_state_for_a_while(clock):
    clock.user.restore(clock.ms, ACTIVE_MS)
    assert clock.state == (ONLINE, False)
    assert clock.after(DISCONNECT_MS) == (OFFLINE, False)

    clock.user.restore(clock.ms, IDLE_MS)
    assert clock.state == (UNAVAILABLE, False)
    clock.user.connect("A", None, *clock.times)
    clock.user.disconnect("A", clock.ms)
    assert clock.after(DISCONNECT_MS) == (OFFLINE, False)


def test_devices_are_bounded_and_those_with_a_connection_stay(clock):
    clock.user.connect("kept", None, *clock.times)
    for number in range(3 * DEVICES_MAX):
        clock.user.connect(f"D{number}", None, *clock.times)
        clock.user.disconnect(f"D{number}", clock.ms)

    assert len(clock.user._devices) == DEVICES_MAX
    clock.after(DISCONNECT_MS)
    assert list(clock.user._devices) == ["kept"]
