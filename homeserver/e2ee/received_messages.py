"""Messages to devices of this server that come from other servers: each is delivered once.

Spec: https://spec.matrix.org/v1.19/server-server-api/#send-to-device-messaging
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from homeserver.core.canonical_json import encode_plain
from homeserver.core.changes import ToDeviceChange
from homeserver.core.identifiers import server_name_of
from homeserver.e2ee.inbox_sizes import InboxSizes
from homeserver.e2ee.ports import Ignoring
from homeserver.e2ee.to_device import ALL_DEVICES, InboxFull
from homeserver.runtime.observation import Observer
from storage.journal import Journal, WriteRefused
from storage.tables.queries import Queries
from storage.tables.received_messages import RECEIVED_INSERT, is_received
from storage.tables.to_device import MESSAGE_INSERT, devices_of
from storage.write import Write

__all__ = ["ReceivedMessages"]

NAME_BYTES_MAX = 255
MESSAGE_BYTES_MAX = 65_536
USERS_MAX = 2_000
MESSAGES_MAX = 5_000
BYTES_MAX = 33_554_432

Contents = Mapping[str, Mapping[str, Mapping[str, Any]]]


class ReceivedMessages:
    """Delivers them.

    Args:
        queries: to look up devices with.
        journal: takes the messages.
        sizes: how much waits for each device.
        ignoring: who does not want to hear whom.
        observer: hears what was dropped.
        server_name: whose users are ours.
    """

    def __init__(
        self, *, queries: Queries, journal: Journal, sizes: InboxSizes, ignoring: Ignoring,
        observer: Observer, server_name: str,
    ) -> None:  # fmt: skip
        self._queries = queries
        self._journal = journal
        self._sizes = sizes
        self._ignoring = ignoring
        self._observer = observer
        self._server_name = server_name

    async def take_in(self, origin: str, content: Mapping[str, Any]) -> None:
        """Deliver what an `m.direct_to_device` holds; it is durable on return.

        What came before under the same message ID is not delivered again. Devices that do not exist are
        passed over, like those whose inbox is full and those of users who ignore the sender.

        Raises:
            ValueError: it is none, or too large; says why.
            Unavailable: it could not be stored just now; the same may be tried again.
        """
        sender, event_type, message_id = (_name(content, key) for key in ("sender", "type", "message_id"))
        if server_name_of(sender) != origin:
            raise ValueError("The sender is no user of the server that sent it.")
        messages = self._messages(content.get("messages"))
        if await is_received(self._queries, origin, message_id):
            return
        addressed = await self._addressed(sender, event_type, messages)
        write = Write()
        position = self._journal.next_position()
        write.rows += [(MESSAGE_INSERT, (position, nid, event)) for _, _, nid, event in addressed]
        write.add(RECEIVED_INSERT, position, origin, message_id)
        told = tuple([(user_id, device_id, event) for user_id, device_id, _, event in addressed])
        write.changes.append(ToDeviceChange(position, told))
        try:
            await asyncio.shield(self._journal.append(write))
        except WriteRefused:
            # The same may have come twice at the same time.
            if not await is_received(self._queries, origin, message_id):
                raise

    def _messages(self, value: Any) -> Contents:
        if not isinstance(value, dict) or len(value) > USERS_MAX:
            raise ValueError(f"messages is an object of at most {USERS_MAX} users.")
        for contents in value.values():
            if not isinstance(contents, dict) or not all(isinstance(one, dict) for one in contents.values()):
                raise ValueError("messages maps user IDs to device IDs, and those to JSON objects.")
        return {
            user_id: contents
            for user_id, contents in value.items()
            if server_name_of(user_id) == self._server_name and "\0" not in user_id
        }

    async def _addressed(
        self, sender: str, event_type: str, messages: Contents
    ) -> list[tuple[str, str, int, bytes]]:
        """Find out which devices get which event: user ID, device ID, the device's number, the event."""
        devices = await devices_of(self._queries, messages)
        if not devices:
            return []
        ignoring = await self._ignoring.ignoring(sender, messages)
        head = b'{"type":%b,"sender":%b,"content":' % (encode_plain(event_type), encode_plain(sender))
        encoded: dict[int, bytes] = {}
        found: list[tuple[str, str, int, bytes]] = []
        size_bytes = 0
        for user_id, device_id, nid in devices:
            contents = messages[user_id]
            content = contents.get(device_id, contents.get(ALL_DEVICES))
            if content is None or user_id in ignoring:
                continue
            event = encoded.get(id(content))
            if event is None:
                event = encoded[id(content)] = head + encode_plain(content) + b"}"
            size_bytes += len(event)
            if len(event) > MESSAGE_BYTES_MAX or len(found) == MESSAGES_MAX or size_bytes > BYTES_MAX:
                raise ValueError("The messages are too large, or too many.")
            found.append((user_id, device_id, nid, event))
        full = await self._sizes.full_among([each[:2] for each in found])
        if full:
            self._observer(InboxFull(len(full)))
            found = [each for each in found if each[:2] not in full]
        return found


def _name(content: Mapping[str, Any], key: str) -> str:
    value = content.get(key)
    if not isinstance(value, str) or not value or "\0" in value or len(value.encode()) > NAME_BYTES_MAX:
        raise ValueError(f"{key} is a string of 1 to {NAME_BYTES_MAX} bytes, none of them NUL.")
    return value
