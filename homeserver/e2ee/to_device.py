"""Messages from device to device: kept for each until it has got them.

Spec: https://spec.matrix.org/v1.19/client-server-api/#send-to-device-messaging
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from homeserver.core.changes import ToDeviceChange
from homeserver.core.errors import BadJson, InvalidParam, TooLarge
from homeserver.core.identifiers import parse_user_id
from homeserver.core.requester import Requester
from homeserver.e2ee.inbox_sizes import InboxSizes
from homeserver.e2ee.ports import Ignoring, RemoteDevices
from homeserver.runtime.observation import Level, Observation, Observer
from storage.journal import Journal, WriteRefused
from storage.tables import to_device
from storage.tables.queries import Queries
from storage.write import Write

__all__ = ["ALL_DEVICES", "InboxFull", "RemoteMessagesDropped", "ToDevice", "Unfederated"]

ALL_DEVICES = "*"
NAME_BYTES_MAX = 255
MESSAGE_BYTES_MAX = 65_536
USERS_PER_REQUEST_MAX = 2_000
MESSAGES_PER_REQUEST_MAX = 5_000
BYTES_PER_REQUEST_MAX = 33_554_432
"""What one request makes is held in memory, and one message may be for all devices of many users."""

Messages = Mapping[str, Mapping[str, Any]]
_Key = tuple[str, str, str, str]
_Told = tuple[str, str, bytes]


@dataclass(frozen=True, slots=True)
class InboxFull(Observation):
    """Messages were dropped: too many wait for their devices already."""

    messages: int


@dataclass(frozen=True, slots=True)
class RemoteMessagesDropped(Observation):
    """Messages were dropped: they are for users of other servers, which this one cannot reach yet."""

    level: ClassVar[Level] = Level.DEBUG
    users: int


class Unfederated:
    """The way to other servers as long as there is none: says so to the observer, and drops."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def send(self, write: Write, sender: str, event_type: str, messages: Messages) -> None:  # noqa: ARG002 - of the port
        """Take note that nobody gets them."""
        self._observer(RemoteMessagesDropped(len(messages)))


class ToDevice:
    """Sends messages to devices.

    Args:
        queries: to look up devices with.
        journal: takes the messages.
        sizes: how much waits for each device.
        ignoring: who does not want to hear whom.
        remote: the way to other servers.
        observer: hears what was dropped.
        server_name: whose users are ours.
    """

    def __init__(
        self, *, queries: Queries, journal: Journal, sizes: InboxSizes, ignoring: Ignoring,
        remote: RemoteDevices, observer: Observer, server_name: str,
    ) -> None:  # fmt: skip
        self._queries = queries
        self._journal = journal
        self._sizes = sizes
        self._ignoring = ignoring
        self._remote = remote
        self._observer = observer
        self._server_name = server_name
        self._sending: dict[_Key, asyncio.Task[None]] = {}

    async def send(self, requester: Requester, event_type: str, transaction_id: str, messages: Any) -> None:
        """Send one message to each of some devices; they are durable on return.

        What was sent before under the same type and transaction ID is not sent again. Devices that do not
        exist are passed over, like those whose inbox is full and those of users who ignore the sender.

        Args:
            requester: who sends, on which device.
            event_type: of all messages.
            transaction_id: the device's own.
            messages: user ID to device ID (or `*`: all that are not named) to content.

        Raises:
            BadJson: what is sent is no object.
            InvalidParam: a user ID that is none, or a name that is too long.
            TooLarge: a message, or all together, are over their limit.
            Unavailable: it could not be stored just now.
        """
        for name in (event_type, transaction_id):
            if not name or "\0" in name or len(name.encode()) > NAME_BYTES_MAX:
                raise InvalidParam(
                    f"An event type or transaction ID has 1 to {NAME_BYTES_MAX} bytes, none of them NUL."
                )
        local, remote = self._parted(messages)
        key = (requester.user_id, requester.device_id, event_type, transaction_id)
        sending = self._sending.get(key)
        if sending is None:
            # A client that goes away and comes again finds its sending under way, or done.
            sending = asyncio.ensure_future(self._send(key, local, remote))
            self._sending[key] = sending
            sending.add_done_callback(lambda done: self._sent(key, done))
        await asyncio.shield(sending)

    def _sent(self, key: _Key, done: "asyncio.Task[None]") -> None:
        del self._sending[key]
        if not done.cancelled():
            done.exception()  # nobody may be waiting any more

    async def _send(self, key: _Key, local: Messages, remote: Messages) -> None:
        user_id, device_id, event_type, transaction_id = key
        sender = (user_id, device_id)
        devices = await to_device.devices_to_reach(self._queries, sender, event_type, transaction_id, local)
        if devices is None:
            return
        told, nids = await self._addressed(user_id, event_type, local, devices)
        write = Write()
        change = ToDeviceChange(self._journal.next_position(), told)
        to_device.add(
            write, change, nids, sender=sender, event_type=event_type, transaction_id=transaction_id
        )
        if remote:
            self._remote.send(write, user_id, event_type, remote)
        try:
            await asyncio.shield(self._journal.append(write))
        except WriteRefused:
            # Another process may have been asked the same at the same time.
            if not await to_device.is_sent(self._queries, sender, event_type, transaction_id):
                raise

    def _parted(self, messages: Any) -> tuple[Messages, Messages]:
        """Part messages to our users from those to others; they are as a client gave them."""
        if not isinstance(messages, dict):
            raise BadJson("messages must be a JSON object.")
        if len(messages) > USERS_PER_REQUEST_MAX:
            raise TooLarge(f"Send to at most {USERS_PER_REQUEST_MAX} users at once.")
        local: dict[str, Mapping[str, Any]] = {}
        remote: dict[str, Mapping[str, Any]] = {}
        for user_id, contents in messages.items():
            try:
                server_name = parse_user_id(user_id).server_name
            except ValueError as error:
                raise InvalidParam(f"messages: {error}") from None
            if not isinstance(contents, dict) or not all(isinstance(one, dict) for one in contents.values()):
                raise BadJson("messages must map user IDs to device IDs, and those to JSON objects.")
            (local if server_name == self._server_name else remote)[user_id] = contents
        return local, remote

    async def _addressed(
        self, sender: str, event_type: str, local: Messages, devices: Sequence[to_device.Device]
    ) -> tuple[tuple[_Told, ...], list[int]]:
        """Find out which devices get which event, and what the numbers of these devices are."""
        if not devices:
            return (), []
        ignoring = await self._ignoring.ignoring(sender, local)
        encode = _Encoder(sender, event_type)
        found: dict[tuple[str, str], tuple[_Told, int]] = {}
        size_bytes = 0
        for user_id, device_id, nid in devices:
            contents = local[user_id]
            content = contents.get(device_id)
            if content is None:
                content = contents.get(ALL_DEVICES)
            if content is None or user_id in ignoring:
                continue
            event = encode(content)
            size_bytes += len(event)
            if len(found) == MESSAGES_PER_REQUEST_MAX or size_bytes > BYTES_PER_REQUEST_MAX:
                raise TooLarge(
                    f"One request sends at most {MESSAGES_PER_REQUEST_MAX} messages of together at most"
                    f" {BYTES_PER_REQUEST_MAX} bytes: send to fewer devices at once."
                )
            found[user_id, device_id] = (user_id, device_id, event), nid
        full = await self._sizes.full_among(found)
        if full:
            self._observer(InboxFull(len(full)))
            for device in full:
                del found[device]
        return tuple([told for told, _ in found.values()]), [nid for _, nid in found.values()]


class _Encoder:
    """Encodes events; what goes to all devices of a user only once."""

    def __init__(self, sender: str, event_type: str) -> None:
        self._head = b'{"type":%b,"sender":%b,"content":' % (orjson.dumps(event_type), orjson.dumps(sender))
        self._content: object = None
        self._event = b""

    def __call__(self, content: dict[str, Any]) -> bytes:
        """Encode the event with this content."""
        if content is not self._content:
            event = self._head + orjson.dumps(content) + b"}"
            if len(event) > MESSAGE_BYTES_MAX:
                raise TooLarge(f"A message to a device may have at most {MESSAGE_BYTES_MAX} bytes.")
            self._content, self._event = content, event
        return self._event
