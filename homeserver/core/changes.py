"""What writers append and readers follow: the rows of the streams, as values.

A change is made by a writer, given its position by the journal, committed, and only then published on the
bus. Readers (sync, push, federation sender) see the same object; they must not alter it.
"""

from dataclasses import dataclass

from homeserver.core.event.pdu import Event

__all__ = [
    "AccountDataChange", "Change", "DeviceListChange", "EventChange", "ForgetChange", "KeyCountsChange",
    "PresenceChange", "ReceiptChange", "RemoteMessagesChange", "StickyChange", "ThreadSubscriptionChange",
    "ToDeviceChange", "TypingChange",
]  # fmt: skip

_MEMBER = "m.room.member"


@dataclass(slots=True, eq=False)
class Change:
    """One row of a stream.

    Attributes:
        position: Snowflake assigned by the journal of the writer; grows in commit order per writer.
    """

    position: int


@dataclass(slots=True, eq=False)
class EventChange(Change):
    """An event that was appended to a room's timeline.

    Attributes:
        room_id: the room, as the clients name it.
        event: the event itself.
        replaces: ID of the state event with the same type and state key that this one replaced, if any.
        replaced: that event itself, where the writer has it at hand; spares every reader a look.
        previous_membership: for ``m.room.member``: the membership before this event, if any.
        transaction_id: the client's transaction ID, shown only to the session that sent it.
        session_id: that session (`Requester.session_id`).
        device_id: the device of that session.
        delay_id: of an event that was a delayed one: its ID until then, for that session too.
        redacted: for a redaction that took effect: the event it redacted, as it is after the redaction.
        state_group: the state before the event, as storage numbers it.
        is_current: a state event became part of the current state; False if state resolution prefers another.
        resets: state events that state resolution brought (back) into the current state when it took this in.
        removed: types and state keys for which the current state lost what it had.
        is_withheld: no client sees the event.
        is_forked: the state before the event is not what was the current state when it came.
        is_arrival: the room came here with it, from another server, and its state, too: see `resets`.
        is_made_here: the event is one of this server's users, and was made now, not told by another server.
        is_relayed: it is of another server, whose user we let in by it: it is for us to send it on to all.
    """

    room_id: str
    event: Event
    replaces: str | None = None
    replaced: Event | None = None
    previous_membership: str | None = None
    transaction_id: str | None = None
    session_id: int | None = None
    device_id: str | None = None
    delay_id: str | None = None
    redacted: Event | None = None
    state_group: int = 0
    is_current: bool = True
    resets: tuple[Event, ...] = ()
    removed: tuple[tuple[str, str], ...] = ()
    is_withheld: bool = False
    is_forked: bool = False
    is_arrival: bool = False
    is_made_here: bool = False
    is_relayed: bool = False

    @property
    def member_events(self) -> list[Event]:
        """The member events that became current with this change: the event itself, or what came back."""
        if self.event.type == _MEMBER and self.event.state_key is not None:
            own = [self.event] if self.is_current else []
        elif not self.resets:
            return []
        else:
            own = []
        return own + [event for event in self.resets if event.type == _MEMBER]

    @property
    def lost_members(self) -> list[str]:
        """The users whose member event the current state lost with this change, without another."""
        return [state_key for event_type, state_key in self.removed if event_type == _MEMBER]


@dataclass(slots=True, eq=False)
class StickyChange(Change):
    """A sticky event was soft-failed; or it was, and passes with the state that the room has now.

    Attributes:
        room_id: the room.
        event: the event. It has no place in the timeline.
        is_soft_failed: nobody is told of it, but it may pass later.
    """

    room_id: str
    event: Event
    is_soft_failed: bool = False


@dataclass(slots=True, eq=False)
class AccountDataChange(Change):
    """Account data that a user set or deleted.

    Attributes:
        user_id: whose it is; nobody else is told.
        room_id: the room that it is about; None for global account data.
        type: its type.
        content: the JSON object; None if it was deleted.
    """

    user_id: str
    room_id: str | None
    type: str
    content: bytes | None


@dataclass(slots=True, eq=False)
class DeviceListChange(Change):
    """The devices or keys of a user are to be asked for anew.

    Attributes:
        user_id: whose they are.
        told_to: only this user is told; None: the user, and all who share a room with the user.
    """

    user_id: str
    told_to: str | None = None


@dataclass(slots=True, eq=False)
class ForgetChange(Change):
    """A user wants to hear no more of a room that they have left.

    Attributes:
        room_id: the room.
        user_id: who.
    """

    room_id: str
    user_id: str


@dataclass(slots=True, eq=False)
class KeyCountsChange(Change):
    """How many one-time keys a device has left, or whether its fallback keys are used, is to be read anew.

    Not stored as a stream: see `TypingChange`.

    Attributes:
        user_id: whose device.
        device_id: which.
    """

    user_id: str
    device_id: str


@dataclass(slots=True, eq=False)
class ReceiptChange(Change):
    """A user has read further.

    Attributes:
        room_id: the room.
        user_id: who.
        type: `m.read`, or `m.read.private`, which only the user's own sessions are told.
        thread_id: `main`, or the ID of a thread's root; None for a receipt of no thread.
        event_id: up to which event.
        ts_ms: when, in milliseconds since 1970.
        event_position: of that event.
    """

    room_id: str
    user_id: str
    type: str
    thread_id: str | None
    event_id: str
    ts_ms: int
    event_position: int


@dataclass(slots=True, eq=False)
class RemoteMessagesChange(Change):
    """Messages were sent to devices of other servers.

    Attributes:
        counts: the servers, and how many EDUs there are for each.
    """

    counts: tuple[tuple[str, int], ...]


@dataclass(slots=True, eq=False)
class ThreadSubscriptionChange(Change):
    """A user follows a thread, or does so no more.

    Attributes:
        user_id: who; nobody else is told.
        room_id: the room of the thread.
        root_id: the event that the thread began with.
        is_subscribed: they follow it.
        is_automatic: a client decided that, not the user.
    """

    user_id: str
    room_id: str
    root_id: str
    is_subscribed: bool
    is_automatic: bool


@dataclass(slots=True, eq=False)
class ToDeviceChange(Change):
    """Messages were sent to devices of this server: what one device sent at once, at most one to each.

    Attributes:
        messages: (user ID, device ID, the event as the device is shown it: JSON).
    """

    messages: tuple[tuple[str, str, bytes], ...]


@dataclass(slots=True, eq=False)
class TypingChange(Change):
    """Who types in a room has changed. Nothing of it is stored: its positions are of their own kind.

    Attributes:
        room_id: the room.
        user_ids: all who type now.
    """

    room_id: str
    user_ids: tuple[str, ...]


@dataclass(slots=True, eq=False)
class PresenceChange(Change):
    """A user came, went, or says something else of it. Not stored as a stream: see `TypingChange`.

    Attributes:
        user_id: who.
        presence: `online`, `unavailable` or `offline`.
        last_active_ms: when they last did something, in milliseconds since 1970; 0: nobody knows.
        currently_active: they do things all the time; nothing is told of each of them.
        status_msg: what they say of themselves.
        is_news: readers are to be told; False: it is as they know it, but for the time.
    """

    user_id: str
    presence: str
    last_active_ms: int
    currently_active: bool
    status_msg: str | None
    is_news: bool = True
