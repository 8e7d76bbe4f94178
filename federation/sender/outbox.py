"""Messages from device to device of other servers: stored with what sends them, until they have arrived.

Spec: https://spec.matrix.org/v1.19/server-server-api/#send-to-device-messaging
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar, NamedTuple

from homeserver.core.canonical_json import encode_lenient, encode_plain
from homeserver.core.changes import RemoteMessagesChange
from homeserver.core.errors import BadJson, TooLarge
from homeserver.core.identifiers import server_name_of
from homeserver.runtime.observation import Level, Observation, Observer
from storage.journal import Journal
from storage.tables import remote_messages
from storage.tables.queries import Queries
from storage.tables.remote_messages import MESSAGE_DELETE, MESSAGE_INSERT
from storage.write import Write

__all__ = ["MESSAGES_WAITING_MAX", "Outbox", "RemoteOutboxFull"]

MESSAGES_WAITING_MAX = 20_000
"""EDUs for one server. One that does not come back for that long loses what is sent from then on."""
EDU_BYTES_MAX = 65_536
MESSAGES_PER_EDU_MAX = 100
MESSAGE_BYTES_MAX = 65_536
WRITE_BYTES_MAX = 33_554_432

Messages = Mapping[str, Mapping[str, Any]]


class _Message(NamedTuple):
    user_id: str
    device_id: str
    content: bytes


@dataclass(frozen=True, slots=True)
class RemoteOutboxFull(Observation):
    """Messages for the devices of a server were dropped: too many wait for it already."""

    level: ClassVar[Level] = Level.WARNING
    destination: str


class Outbox:
    """Takes messages for devices of other servers; implements `homeserver.e2ee.ports.RemoteDevices`.

    Args:
        queries: where they wait.
        journal: gives them their places.
        observer: hears what is dropped.
        may_send: whether the operator lets this server speak with another.
        waiting_max: EDUs for one server.
    """

    def __init__(
        self, *, queries: Queries, journal: Journal, observer: Observer, may_send: Callable[[str], bool],
        waiting_max: int = MESSAGES_WAITING_MAX,
    ) -> None:  # fmt: skip
        self._queries = queries
        self._journal = journal
        self._observer = observer
        self._may_send = may_send
        self._waiting_max = waiting_max
        self._waiting: dict[str, int] = {}

    async def start(self) -> None:
        """Read how many wait for each server."""
        self._waiting = await remote_messages.counts(self._queries)

    @property
    def destinations(self) -> list[str]:
        """The servers for which messages wait."""
        return [name for name, count in self._waiting.items() if count > 0]

    def waiting(self, destination: str) -> int:
        """How many EDUs wait for a server, or are about to."""
        return self._waiting.get(destination, 0)

    def send(self, write: Write, sender: str, event_type: str, messages: Messages) -> None:
        """Add messages to a write, so that they are on their way once it is committed.

        Raises:
            BadJson: a message has no canonical JSON.
            TooLarge: all together are over the limit.
        """
        by_server: dict[str, list[_Message]] = {}
        size_bytes = 0
        for user_id, contents in messages.items():
            server = server_name_of(user_id)
            if server is None or not self._may_send(server):
                continue
            for device_id, content in contents.items():
                message = _Message(user_id, device_id, _encoded(content))
                size_bytes += len(message.content)
                if size_bytes > WRITE_BYTES_MAX:
                    raise TooLarge(f"One request sends at most {WRITE_BYTES_MAX} bytes to other servers.")
                by_server.setdefault(server, []).append(message)
        counts = []
        for server, found in by_server.items():
            if self.waiting(server) >= self._waiting_max:
                self._observer(RemoteOutboxFull(server))
                continue
            parts = list(_parts(found))
            counts.append((server, len(parts)))
            for part in parts:
                position = self._journal.next_position()
                write.add(MESSAGE_INSERT, position, server, _edu(sender, event_type, position, part))
        if counts:
            write.changes.append(RemoteMessagesChange(self._journal.last_position, tuple(counts)))

    def committed(self, change: RemoteMessagesChange) -> None:
        """Take note of what waits now."""
        for server, count in change.counts:
            self._waiting[server] = self.waiting(server) + count

    async def oldest(self, destination: str, limit: int) -> list[tuple[int, bytes]]:
        """Read (position, EDU) of those that have waited longest for a server, in their order.

        Raises:
            Unavailable: it could not be read.
        """
        return await remote_messages.oldest(self._queries, destination, limit=limit)

    async def arrived(self, destination: str, positions: Sequence[int]) -> None:
        """Forget messages that a server has acknowledged.

        Raises:
            Unavailable: it could not be stored: they will be sent again, and have an ID for that.
        """
        write = Write()
        for position in positions:
            write.add(MESSAGE_DELETE, destination, position)
        await asyncio.shield(self._journal.append(write))
        left = self.waiting(destination) - len(positions)
        if left > 0:
            self._waiting[destination] = left
        else:
            self._waiting.pop(destination, None)


def _encoded(content: Mapping[str, Any]) -> bytes:
    try:
        encoded = encode_lenient(content)
    except ValueError as error:
        raise BadJson(str(error)) from error
    if len(encoded) > MESSAGE_BYTES_MAX:
        raise TooLarge(f"A message to a device may have at most {MESSAGE_BYTES_MAX} bytes.")
    return encoded


def _parts(messages: list[_Message]) -> Iterator[list[_Message]]:
    """Part messages so that no EDU becomes too long."""
    part: list[_Message] = []
    size_bytes = 0
    for message in sorted(messages, key=_order):
        if part and (len(part) == MESSAGES_PER_EDU_MAX or size_bytes + len(message.content) > EDU_BYTES_MAX):
            yield part
            part, size_bytes = [], 0
        part.append(message)
        size_bytes += len(message.content)
    if part:
        yield part


def _edu(sender: str, event_type: str, position: int, part: list[_Message]) -> bytes:
    """Put an EDU together of messages in the order of canonical JSON."""
    users = b",".join([
        encode_plain(user_id)
        + b":{"
        + b",".join([encode_plain(one.device_id) + b":" + one.content for one in of_user])
        + b"}"
        for user_id, of_user in groupby(part, key=_user_of)
    ])
    return (
        b'{"content":{"message_id":"%d","messages":{%b},"sender":%b,"type":%b},"edu_type":"m.direct_to_device"}'
        % (position, users, encode_plain(sender), encode_plain(event_type))
    )


def _order(message: _Message) -> tuple[str, str]:
    return message.user_id, message.device_id


def _user_of(message: _Message) -> str:
    return message.user_id
