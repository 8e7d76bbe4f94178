"""Which events of a timeline a client wants, as SQL: by what they are, and by what points at them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from homeserver.core.filters import RoomEventFilter
from storage.tables.events import EventFilter

__all__ = ["TimelineFilter"]

# Not EXISTS, which the planner joins at large: a page is near the place where it begins.
_RELATED = (
    " AND (SELECT true FROM relations AS child WHERE child.room_nid = events.room_nid"
    " AND child.parent_id = events.event_id"
)
_USERS = "(SELECT nid FROM interned_users WHERE text = ANY(%b::text[]))"


@dataclass(frozen=True, slots=True)
class TimelineFilter(EventFilter):
    """Which events of a page are wanted. An event that points at them meets both of what is asked of it.

    Attributes:
        related_by_rel_types: only events that others point at in one of these ways.
        related_by_senders: only events that one of these users points at.
        ignored: pointing at it, these users make no event wanted.
    """

    related_by_rel_types: Sequence[str] | None = None
    related_by_senders: Sequence[str] | None = None
    ignored: Collection[str] = field(default=())

    @classmethod
    def of(cls, wanted: RoomEventFilter, ignored: Collection[str]) -> "TimelineFilter":
        """Take over what a client's filter asks for. The rest of it is for `event_passes` to check."""
        return cls(
            types=wanted.types,
            not_types=wanted.not_types or (),
            senders=wanted.senders,
            not_senders=wanted.not_senders or (),
            related_by_rel_types=wanted.related_by_rel_types,
            related_by_senders=wanted.related_by_senders,
            ignored=ignored,
        )

    def condition(self) -> tuple[str, list[object]]:
        """Put the filter as SQL and its parameters."""
        # Not super(): a dataclass with slots is another class than the one that is defined here.
        sql, parameters = EventFilter.condition(self)
        if self.related_by_rel_types is None and self.related_by_senders is None:
            return sql, parameters
        sql += _RELATED
        if self.related_by_rel_types is not None:
            sql += " AND child.rel_type = ANY(%b::text[])"
            parameters.append(list(self.related_by_rel_types))
        if self.related_by_senders is not None:
            sql += f" AND child.sender_nid IN {_USERS}"
            parameters.append(list(self.related_by_senders))
        if self.ignored:
            sql += f" AND child.sender_nid NOT IN {_USERS}"
            parameters.append(list(self.ignored))
        return sql + " LIMIT 1)", parameters
