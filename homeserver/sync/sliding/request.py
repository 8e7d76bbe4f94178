"""What a client asks of a sliding sync, decoded and limited.

Spec: https://github.com/matrix-org/matrix-spec-proposals/pull/4186
"""

from typing import Annotated

import msgspec

from homeserver.core.errors import InvalidParam
from homeserver.sync.sticky_events import STICKY_EVENTS_MAX
from homeserver.sync.thread_subscriptions import THREADS_MAX

__all__ = [
    "TIMELINE_LIMIT_MAX", "EncryptionExtension", "Extensions", "ListBody", "ListFilters", "RoomBody",
    "RoomExtension", "SlidingBody", "StickyExtension", "ThreadsExtension", "ToDeviceExtension",
    "check_limits",
]  # fmt: skip

TIMELINE_LIMIT_MAX = 1_000
LISTS_MAX = 100
LIST_KEY_BYTES_MAX = 64
SUBSCRIPTIONS_MAX = 1_000
REQUIRED_STATE_MAX = 200
RANGES_MAX = 20
FILTER_VALUES_MAX = 100
TEXT_CHARACTERS_MAX = 255
PLACE_CHARACTERS_MAX = 16_384
MESSAGES_MAX = 100

_Place = Annotated[int, msgspec.Meta(ge=0)]
_Text = Annotated[str, msgspec.Meta(max_length=TEXT_CHARACTERS_MAX)]
_Texts = Annotated[list[_Text], msgspec.Meta(max_length=FILTER_VALUES_MAX)]
_RoomTypes = Annotated[list[_Text | None], msgspec.Meta(max_length=FILTER_VALUES_MAX)]
_Required = Annotated[list[tuple[_Text, _Text]], msgspec.Meta(max_length=REQUIRED_STATE_MAX)]


class RoomBody(msgspec.Struct):
    """What is wanted of a room. Some clients leave out `required_state` when it is empty."""

    timeline_limit: Annotated[int, msgspec.Meta(ge=0, le=TIMELINE_LIMIT_MAX)]
    required_state: _Required = []


class ListFilters(msgspec.Struct):
    """Which rooms belong to a list: those that pass all of what is there."""

    is_dm: bool | None = None
    is_encrypted: bool | None = None
    is_invite: bool | None = None
    room_types: _RoomTypes | None = None
    not_room_types: _RoomTypes | None = None
    tags: _Texts | None = None
    not_tags: _Texts | None = None
    spaces: _Texts | None = None
    room_name_like: _Text | None = None


class ListBody(RoomBody):
    """A list: its windows, and which rooms belong to it."""

    ranges: Annotated[list[tuple[_Place, _Place]], msgspec.Meta(max_length=RANGES_MAX)] | None = None
    slow_get_all_rooms: bool = False
    filters: ListFilters | None = None


class RoomExtension(msgspec.Struct):
    """An extension that tells something of rooms: those in the windows of lists, and subscribed ones."""

    enabled: bool = False
    lists: Annotated[list[_Text], msgspec.Meta(max_length=LISTS_MAX)] | None = None
    rooms: Annotated[list[_Text], msgspec.Meta(max_length=SUBSCRIPTIONS_MAX)] | None = None


class ToDeviceExtension(msgspec.Struct):
    """Messages to the device: at most `limit` after those up to `since`."""

    enabled: bool = False
    limit: Annotated[int, msgspec.Meta(ge=1)] = MESSAGES_MAX
    since: Annotated[str, msgspec.Meta(max_length=PLACE_CHARACTERS_MAX)] | None = None


class EncryptionExtension(msgspec.Struct):
    """Counts of keys, and whose devices changed."""

    enabled: bool = False


class StickyExtension(msgspec.Struct):
    """Sticky events: at most `limit` after those up to `since`."""

    enabled: bool = False
    limit: Annotated[int, msgspec.Meta(ge=1, le=STICKY_EVENTS_MAX)] = STICKY_EVENTS_MAX
    since: Annotated[str, msgspec.Meta(max_length=PLACE_CHARACTERS_MAX)] | None = None


class ThreadsExtension(msgspec.Struct):
    """Thread subscriptions: at most `limit` of those that changed, or `THREADS_MAX` if that is less."""

    enabled: bool = False
    limit: Annotated[int, msgspec.Meta(ge=1)] = THREADS_MAX


class Extensions(msgspec.Struct):
    """The extensions; those that are unknown are ignored."""

    account_data: RoomExtension | None = None
    receipts: RoomExtension | None = None
    typing: RoomExtension | None = None
    to_device: ToDeviceExtension | None = None
    e2ee: EncryptionExtension | None = None
    sticky_events: StickyExtension | None = msgspec.field(
        default=None, name="org.matrix.msc4354.sticky_events"
    )
    threads: ThreadsExtension | None = msgspec.field(
        default=None, name="io.element.msc4308.thread_subscriptions"
    )


class SlidingBody(msgspec.Struct):
    """The body of a request."""

    conn_id: _Text | None = None
    txn_id: _Text | None = None
    lists: dict[str, ListBody] | None = None
    room_subscriptions: dict[str, RoomBody] | None = None
    extensions: Extensions | None = None


def check_limits(body: SlidingBody) -> None:
    """Refuse what is more than a server can bear.

    Raises:
        InvalidParam: too many lists or subscriptions, or a name that is too long.
    """
    lists = body.lists or {}
    if len(lists) > LISTS_MAX:
        raise InvalidParam(f"Ask for at most {LISTS_MAX} lists.")
    if any(len(key.encode()) > LIST_KEY_BYTES_MAX for key in lists):
        raise InvalidParam(f"The key of a list has at most {LIST_KEY_BYTES_MAX} bytes.")
    if len(body.room_subscriptions or {}) > SUBSCRIPTIONS_MAX:
        raise InvalidParam(f"Subscribe to at most {SUBSCRIPTIONS_MAX} rooms.")
    for each in lists.values():
        if any(first > last for first, last in each.ranges or ()):
            raise InvalidParam("Each range of a list goes from its first place to its last, [0, 19] for one.")
