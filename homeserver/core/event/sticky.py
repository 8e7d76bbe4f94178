"""Sticky events: message events that everybody in the room is told of for a while, in the timeline or not.

Spec: https://github.com/matrix-org/matrix-spec-proposals/pull/4354
"""

from homeserver.core.event.pdu import STICKY, Event
from homeserver.core.positions import ms_of

__all__ = ["STICKY", "STICKY_MS_MAX", "STICKY_TTL", "sticky_field", "sticky_until_ms"]

STICKY_MS_MAX = 3_600_000
"""No event is sticky for longer."""
STICKY_TTL = "msc4354_sticky_duration_ttl_ms"
"""In `unsigned`: for how many milliseconds more an event is sticky."""

_DURATION = "duration_ms"


def sticky_field(duration_ms: int) -> dict[str, int]:
    """What the top level of an event says of being sticky for so many milliseconds."""
    assert 0 <= duration_ms <= STICKY_MS_MAX, duration_ms
    return {_DURATION: duration_ms}


def sticky_until_ms(event: Event, position: int) -> int:
    """Tell when an event stops being sticky, in milliseconds since 1970; 0 if it never was.

    What is redacted is not: a redaction leaves nothing that says so. State events are not either.

    Args:
        event: the event.
        position: of the event: it tells when it came, unless it was fetched from the past (below 0).
    """
    claimed = event.sticky
    if claimed is None or event.state_key is not None or not isinstance(claimed, dict):
        return 0
    duration_ms = claimed.get(_DURATION)
    if type(duration_ms) is not int or duration_ms <= 0:
        return 0
    # A clock that is ahead must not make an event stay for longer.
    sent_ms = event.origin_server_ts
    since_ms = sent_ms if position < 0 else min(sent_ms, ms_of(position))
    return max(0, since_ms + min(duration_ms, STICKY_MS_MAX))
