"""Which events of a room a user may see.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility

What counts is the state *at* the event: a later change of the history visibility neither shows nor hides it.
"""

from bisect import bisect_left
from collections.abc import Sequence

from homeserver.core.content.history_visibility import INVITED, SHARED, WORLD_READABLE, understood
from homeserver.core.content.member import INVITE, JOIN, LEAVE

__all__ = ["VisibleHistory", "may_see"]


def may_see(visibility: str, membership_then: str, membership_later_joined: bool) -> bool:  # noqa: FBT001 - positional in the rules too
    """Say whether a user may see an event.

    Args:
        visibility: the room's history visibility at the event; one that is not understood counts as `shared`.
        membership_then: the user's membership at the event; `leave` for one who had none.
        membership_later_joined: whether the user joined at any time after the event.
    """
    if membership_then == JOIN or visibility == WORLD_READABLE:
        return True
    if membership_then == INVITE and visibility == INVITED:
        return True
    return membership_later_joined and understood(visibility) == SHARED


class VisibleHistory:
    """What one user may see of one room, by position in its timeline."""

    __slots__ = (
        "_last_join", "_membership_positions", "_memberships", "_visibilities", "_visibility_positions",
        "user_id",
    )  # fmt: skip

    def __init__(
        self,
        visibilities: Sequence[tuple[int, str]],
        memberships: Sequence[tuple[int, str]],
        user_id: str = "",
    ) -> None:
        """Take the room's past. A stretch of it will do, if it begins with what held at its beginning.

        Args:
            visibilities: position and value of each `m.room.history_visibility`, oldest first.
            memberships: position and membership of each `m.room.member` of the user, oldest first.
            user_id: of the user.
        """
        self.user_id = user_id
        self._visibility_positions = [position for position, _ in visibilities]
        self._visibilities = [SHARED, *(value for _, value in visibilities)]
        self._membership_positions = [position for position, _ in memberships]
        self._memberships = [LEAVE, *(value for _, value in memberships)]
        self._last_join = max((position for position, value in memberships if value == JOIN), default=None)

    def is_visible(self, position: int) -> bool:
        """Say whether the user may see the event at that position.

        An event that changes the history visibility, or the user's own membership, is seen by those who may
        see what was before it or what is after.
        """
        visibilities = _around(self._visibility_positions, self._visibilities, position)
        memberships = _around(self._membership_positions, self._memberships, position)
        return self.is_visible_by(position, visibilities, memberships)

    def is_visible_by(self, position: int, visibilities: Sequence[str], memberships: Sequence[str]) -> bool:
        """Say the same of an event on a branch, where the state was another than the timeline tells.

        Args:
            position: of the event.
            visibilities: the history visibility before it and, if it changes that, after it.
            memberships: the user's membership before it and, if it changes that, after it.
        """
        joins_later = self._last_join is not None and self._last_join > position
        return any(
            may_see(visibility, membership, joins_later)
            for visibility in visibilities
            for membership in memberships
        )

    def membership_at(self, position: int) -> str:
        """Tell the user's membership in the state after the event at that position."""
        return _around(self._membership_positions, self._memberships, position)[-1]


def _around(positions: Sequence[int], values: Sequence[str], position: int) -> tuple[str, ...]:
    """List what held before a position and, if the change is at the position itself, what held after it."""
    count = bisect_left(positions, position)
    if count < len(positions) and positions[count] == position:
        return values[count], values[count + 1]
    return (values[count],)
