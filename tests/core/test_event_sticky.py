"""For how long an event is sticky."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeserver.core.event.pdu import Event
from homeserver.core.event.sticky import STICKY_MS_MAX, sticky_field, sticky_until_ms
from homeserver.core.positions import make
from homeserver.core.room_versions import rules_for

SENT_MS = 1_760_000_000_000
INTEGERS = st.integers(1 - 2**53, 2**53 - 1)


def event(sticky, *, sent_ms=SENT_MS, **more):
    pdu = {
        "auth_events": [], "prev_events": [], "content": {"a": 1}, "depth": 1, "origin_server_ts": sent_ms,
        "room_id": "!r:x", "sender": "@a:x", "type": "m.rtc.member", "msc4354_sticky": sticky, **more,
    }  # fmt: skip
    return Event.from_pdu(pdu, rules_for("11"))


def at(ms):
    return make(ms, 0, 0)


def test_it_lasts_from_its_sending():
    assert sticky_until_ms(event(sticky_field(60_000)), at(SENT_MS)) == SENT_MS + 60_000
    assert sticky_until_ms(event(sticky_field(60_000)), at(SENT_MS + 5_000)) == SENT_MS + 60_000


def test_a_clock_that_is_ahead_makes_it_last_from_its_coming():
    assert sticky_until_ms(event(sticky_field(60_000)), at(SENT_MS - 5_000)) == SENT_MS + 55_000


def test_what_came_from_the_past_lasts_from_its_sending():
    assert sticky_until_ms(event(sticky_field(60_000)), -7) == SENT_MS + 60_000


def test_more_than_an_hour_counts_as_one():
    assert sticky_until_ms(event({"duration_ms": 10**15}), at(SENT_MS)) == SENT_MS + STICKY_MS_MAX


@pytest.mark.parametrize(
    "malformed",
    [
        {}, {"duration_ms": "1000"}, {"duration_ms": True}, {"duration_ms": -1}, {"duration_ms": 0}, 1000,
        None, [],
    ],
)
def test_a_malformed_claim_is_none(malformed):
    assert sticky_until_ms(event(malformed), at(SENT_MS)) == 0


def test_state_is_not_sticky():
    assert sticky_until_ms(event(sticky_field(1_000), state_key=""), at(SENT_MS)) == 0


def test_what_is_redacted_is_not_sticky_and_its_id_and_signature_stay():
    sticky = event(sticky_field(1_000))
    redacted = sticky.redacted_by(event(None, type="m.room.redaction"))

    assert sticky_until_ms(redacted, at(SENT_MS)) == 0
    assert redacted.event_id == sticky.event_id
    assert b"msc4354_sticky" not in redacted.sync_prefix


def test_clients_find_the_claim_at_the_top_level():
    assert b'"msc4354_sticky":{"duration_ms":1000}' in event(sticky_field(1_000)).sync_prefix


@given(st.one_of(INTEGERS, st.booleans(), st.none(), st.text()), INTEGERS)
def test_nothing_lasts_for_more_than_an_hour_after_its_coming(duration_ms, sent_ms):
    until_ms = sticky_until_ms(event({"duration_ms": duration_ms}, sent_ms=sent_ms), at(SENT_MS))
    assert 0 <= until_ms <= SENT_MS + STICKY_MS_MAX
