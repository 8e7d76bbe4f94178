"""What a user is to a thread, and what becomes of that."""

from dataclasses import replace

import pytest

from homeserver.core.thread_subscriptions import (
    ConflictingUnsubscription,
    EventMark,
    ThreadSubscription,
    subscribe,
    unsubscribe,
)

EARLY, LEFT, LATE = EventMark(10, 1), EventMark(20, 2), EventMark(30, 3)
MANUAL = ThreadSubscription(is_subscribed=True, is_automatic=False)
AUTOMATIC = ThreadSubscription(is_subscribed=True, is_automatic=True)
GONE = ThreadSubscription(is_subscribed=False, is_automatic=False, unsubscribed=LEFT)


def test_a_first_subscription_is_as_it_was_asked_for():
    assert subscribe(None, None) == MANUAL
    assert subscribe(None, EARLY) == AUTOMATIC


def test_a_manual_subscription_is_not_made_automatic_but_an_automatic_one_is_made_manual():
    assert subscribe(MANUAL, LATE) is MANUAL
    assert subscribe(AUTOMATIC, LATE) is AUTOMATIC
    assert subscribe(MANUAL, None) is MANUAL
    assert subscribe(AUTOMATIC, None) == MANUAL


def test_only_what_came_after_the_unsubscription_subscribes_by_itself():
    for cause in (EARLY, LEFT):
        with pytest.raises(ConflictingUnsubscription):
            subscribe(GONE, cause)
    after = subscribe(GONE, LATE)
    assert (after.is_subscribed, after.is_automatic, after.unsubscribed) == (True, True, LEFT)
    assert subscribe(GONE, None) == replace(MANUAL, unsubscribed=LEFT)


def test_what_was_fetched_later_is_placed_by_the_graph():
    with pytest.raises(ConflictingUnsubscription):
        subscribe(GONE, EventMark(-5, 2))
    assert subscribe(GONE, EventMark(-5, 3)).is_automatic


def test_who_has_subscribed_again_is_subscribed_whatever_happened_before():
    again = subscribe(GONE, None)
    assert subscribe(again, EARLY) is again


def test_an_unsubscription_remembers_when():
    assert unsubscribe(AUTOMATIC, LEFT) == GONE
    assert unsubscribe(subscribe(GONE, None), LATE) == replace(GONE, unsubscribed=LATE)
    assert unsubscribe(GONE, LATE) is GONE
    assert unsubscribe(None, LATE) is None
