"""What an event means to those who are here: whose memberships change, and whether all are told the same."""

from homeserver.core.changes import EventChange
from homeserver.core.content.member import LEAVE, membership_of

__all__ = ["UNKNOWN", "is_told_alike", "members_changed_by", "membership_by"]

UNKNOWN = "?"
"""The membership before another, where nobody has looked."""


def is_told_alike(change: EventChange) -> bool:
    """Say whether everybody who is in the room is told the same, but for the session that sent it.

    Of members there are summaries, which leave out who reads them; where branches meet, each may have seen
    something else.
    """
    if change.resets or change.removed or change.member_events or change.lost_members:
        return False
    if change.is_forked or change.is_withheld:
        return False
    return change.event.state_key is None or change.is_current


def members_changed_by(change: EventChange) -> list[str]:
    """The users whose membership is another, or confirmed, with a change."""
    return [event.state_key or "" for event in change.member_events] + change.lost_members


def membership_by(change: EventChange, user_id: str) -> tuple[str, str | None]:
    """Tell the membership that a user has by a change, and the one before, or `UNKNOWN`."""
    for event in change.member_events:
        if event.state_key == user_id:
            return membership_of(event), change.previous_membership if event is change.event else UNKNOWN
    return LEAVE, UNKNOWN
