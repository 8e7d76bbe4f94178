"""The content of `m.room.power_levels`, with the defaults for all that it leaves out.

Spec: https://spec.matrix.org/v1.19/client-server-api/#mroompower_levels
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from homeserver.core.content.create import creators_of
from homeserver.core.event.pdu import Event
from homeserver.core.room_versions import RoomVersionRules

__all__ = ["CREATOR_LEVEL", "DEFAULTS", "PowerLevels", "read_level"]

CREATOR_LEVEL = math.inf
"""The level of creators in room versions that privilege them: above every integer."""

DEFAULTS: Mapping[str, int] = {
    "ban": 50, "events_default": 0, "invite": 0, "kick": 50, "redact": 50, "state_default": 50,
    "users_default": 0,
}  # fmt: skip

_CREATOR_LEVEL_WITHOUT_EVENT = 100
_NOTIFICATION_DEFAULT = 50
_INTEGER_TEXT = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)


def read_level(value: Any, rules: RoomVersionRules) -> int | None:
    """Read a level as the room version does; None for what is none.

    Rooms of the first versions hold levels as text and as floats, which are cut off at the point.
    """
    if type(value) is int:
        return value
    if rules.authorization.integer_power_levels:
        return None
    if isinstance(value, float) and math.isfinite(value) and not rules.strict_canonical_json:
        return int(value)
    if isinstance(value, str) and _INTEGER_TEXT.fullmatch(value):
        try:
            return int(value)
        except ValueError:  # thousands of digits, which Python refuses to read
            return None
    return None


class PowerLevels:
    """The power levels of a room. Made anew for each question, so it reads nothing before it is asked.

    What cannot be read counts as left out: such content is never allowed, but rooms may hold it all the
    same, and a room must not come to a halt over it.
    """

    __slots__ = ("_content", "_create", "_rules", "_users")

    def __init__(
        self, content: Mapping[str, Any] | None, create: Event | None, rules: RoomVersionRules
    ) -> None:
        """Take the content, or None if the room has no such event; `of` is the usual way here."""
        self._content = content
        self._create = create
        self._rules = rules
        users = None if content is None else content.get("users")
        self._users: Mapping[str, Any] = users if isinstance(users, dict) else {}

    @classmethod
    def of(cls, event: Event | None, create: Event | None, rules: RoomVersionRules) -> "PowerLevels":
        """Read the levels that hold by this `m.room.power_levels` and this `m.room.create`."""
        return cls(None if event is None else event.content, create, rules)

    def user_level(self, user_id: str) -> float:
        """Tell a user's level: an integer, or `CREATOR_LEVEL`."""
        privileged = self._rules.authorization.explicitly_privilege_room_creators
        if privileged and self.is_creator(user_id):
            return CREATOR_LEVEL
        if self._content is None:
            return _CREATOR_LEVEL_WITHOUT_EVENT if self.is_creator(user_id) else DEFAULTS["users_default"]
        if user_id in self._users:
            level = read_level(self._users[user_id], self._rules)
            if level is not None:
                return level
        return self._named("users_default")

    def is_creator(self, user_id: str) -> bool:
        """Say whether a user is among the room's creators."""
        return self._create is not None and user_id in creators_of(self._create)

    def event_level(self, event_type: str, is_state: bool) -> int:  # noqa: FBT001 - reads well at every call
        """Tell the level that it takes to send an event of a type, membership apart."""
        level = self._entry("events", event_type)
        if level is not None:
            return level
        return self._named("state_default" if is_state else "events_default")

    def notification_level(self, key: str) -> int:
        """Tell the level that it takes to notify, e.g. everybody by `room`."""
        level = self._entry("notifications", key)
        return _NOTIFICATION_DEFAULT if level is None else level

    @property
    def ban(self) -> int:
        """The level that it takes to ban."""
        return self._named("ban")

    @property
    def kick(self) -> int:
        """The level that it takes to kick."""
        return self._named("kick")

    @property
    def invite(self) -> int:
        """The level that it takes to invite."""
        return self._named("invite")

    @property
    def redact(self) -> int:
        """The level that it takes to redact what others sent."""
        return self._named("redact")

    def _named(self, name: str) -> int:
        if self._content is not None and name in self._content:
            level = read_level(self._content[name], self._rules)
            if level is not None:
                return level
        return DEFAULTS[name]

    def _entry(self, name: str, key: str) -> int | None:
        entries = None if self._content is None else self._content.get(name)
        if isinstance(entries, dict) and key in entries:
            return read_level(entries[key], self._rules)
        return None
