"""Recalls what happened before a user came, so that who comes back after a restart goes on as without one.

`LiveUser` remembers where something happened in the user's rooms while they are here. Of what was before,
this reads the places from the database, as many as are remembered anyhow.
"""

from homeserver.core.positions import SyncToken, ms_of
from homeserver.sync.live_users import RECENT_PER_USER_MAX, LiveUser
from homeserver.sync.ports import SyncReads

__all__ = ["MISSED_MS_MAX", "recall"]

MISSED_MS_MAX = 7 * 86_400_000
"""What is older is a gap: its clients have gone without it for long, and it may be very much."""
_ATTEMPTS_MAX = 3


async def recall(user: LiveUser, since: SyncToken, reads: SyncReads) -> None:
    """Let a user know all that happened in their rooms after `since`, unless it is too much or too old."""
    for _ in range(_ATTEMPTS_MAX):
        floor = user.floor
        if floor is None or since.covers_all_of(floor):
            return
        if ms_of(floor.highest) - ms_of(since.highest) > MISSED_MS_MAX:
            return
        asked = {
            room.room_id: floor.highest if room.membership == "join" else min(room.position, floor.highest)
            for room in user.rooms.values()
            if room.membership == "join" or not since.covers(room.position)
        }
        # One more than are remembered: is that all?
        found = await reads.places_after(asked, since.lowest, RECENT_PER_USER_MAX + 1)
        if len(found) > RECENT_PER_USER_MAX:
            return
        if user.floor is floor:
            # Invitations to rooms that are not here are in no timeline.
            own = [(room.position, room.room_id) for room in user.rooms.values() if room.membership != "join"]
            places = {one for one in (*found, *own) if floor.covers(one[0]) and not since.covers(one[0])}
            user.recall(sorted(places), since)
            return
        # Meanwhile another device of the user was here, from another place.
