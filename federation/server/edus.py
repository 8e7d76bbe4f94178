"""What is ephemeral: who types, reads and is here, messages to devices, and changes of devices and keys.

A server tells of its own users only. What is none of that is passed over: it may be newer than this server.

Spec: https://spec.matrix.org/v1.19/server-server-api/#edus
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from federation.server.refusals import Refusals
from homeserver.core.errors import MatrixError, NotFound, Unavailable
from homeserver.core.identifiers import parse_event_id, parse_room_id, parse_user_id
from homeserver.ephemeral.receipts import READ, ToldReceipt, is_thread_id
from homeserver.ephemeral.remote_presence import ToldPresence
from homeserver.runtime.clock import Clock

__all__ = ["EdusFromServers"]

RECEIPTS_PER_EDU_MAX = 1_000
PRESENCE_PER_EDU_MAX = 1_000
STATUS_BYTES_MAX = 4_096
INTEGER_MAX = 2**53 - 1
AT_ONCE_MAX = 10
_PRESENCES = frozenset(("online", "unavailable", "offline"))

TakeIn = Callable[[str, Mapping[str, Any]], Coroutine[Any, Any, None]]
"""Takes in the content of one EDU of a server. Raises ValueError for what is none."""


class TypingPort(Protocol):
    """Knows who types."""

    async def set_remote(self, user_id: str, room_id: str, *, is_typing: bool) -> None:
        """Let a user of another server type, or type no more."""


class ReceiptsPort(Protocol):
    """Knows who has read how far."""

    async def take_in(self, room_id: str, told: Sequence[ToldReceipt]) -> None:
        """Take in receipts of users of other servers."""


class PresencePort(Protocol):
    """Knows who is here."""

    async def take_in(self, told: Sequence[ToldPresence]) -> None:
        """Take in how users of other servers are."""


class DevicesPort(Protocol):
    """Keeps the devices of users of other servers."""

    async def device_list_update(self, origin: str, content: Mapping[str, Any]) -> None:
        """Take in that a device has changed."""

    async def signing_key_update(self, origin: str, content: Mapping[str, Any]) -> None:
        """Take in that signing keys have changed."""


class EdusFromServers:
    """Hands each EDU to what it is for.

    Those of one kind and server are taken in one after the other, as they came; the kinds side by side.

    Args:
        typing: knows who types.
        receipts: knows who has read how far.
        presence: knows who is here; None: presence is off.
        to_device: delivers messages.
        devices: keeps devices.
        allows: whether a server may speak in a room.
        refusals: hears what was refused.
        clock: no receipt is of the future.
    """

    def __init__(
        self, *, typing: TypingPort, receipts: ReceiptsPort, presence: PresencePort | None,
        to_device: TakeIn, devices: DevicesPort, allows: Callable[[str, str], Awaitable[bool]],
        refusals: Refusals, clock: Clock,
    ) -> None:  # fmt: skip
        self._typing = typing
        self._receipts = receipts
        self._presence = presence
        self._allows = allows
        self._refusals = refusals
        self._clock = clock
        self._kinds: Mapping[str, TakeIn] = {
            "m.typing": self._take_typing,
            "m.receipt": self._take_receipts,
            "m.presence": self._take_presence,
            "m.direct_to_device": to_device,
            "m.device_list_update": devices.device_list_update,
            "m.signing_key_update": devices.signing_key_update,
        }

    async def take_in(self, origin: str, edus: Sequence[Any]) -> None:
        """Take in the EDUs of one transaction; what has to be durable is, on return.

        Raises:
            Unavailable: a message or a change of devices could not be stored; the same may be tried again.
        """
        by_kind: dict[str, deque[Mapping[str, Any]]] = {}
        for edu in edus:
            kind = edu.get("edu_type") if isinstance(edu, dict) else None
            content = edu.get("content") if isinstance(edu, dict) else None
            if not isinstance(kind, str) or not isinstance(content, dict):
                self._refusals.note_edu(origin, "", "It has no type, or no content.")
            elif kind in self._kinds:
                by_kind.setdefault(_order(kind), deque()).append(edu)
        results = await asyncio.gather(
            *[self._take_in_all(origin, some) for some in by_kind.values()], return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _take_in_all(self, origin: str, edus: "deque[Mapping[str, Any]]") -> None:
        while edus:
            edu = edus.popleft()
            kind = edu["edu_type"]
            try:
                await self._kinds[kind](origin, edu["content"])
            except ValueError as error:
                self._refusals.note_edu(origin, kind, str(error))
            except Unavailable as error:
                if kind in _LOST_FOR_GOOD:
                    raise
                self._refusals.note_edu(origin, kind, error.error)
            except MatrixError as error:
                self._refusals.note_edu(origin, kind, error.error)

    async def _take_typing(self, origin: str, content: Mapping[str, Any]) -> None:
        room_id, user_id = _room(content.get("room_id")), _user_of(origin, content.get("user_id"))
        is_typing = content.get("typing")
        if not isinstance(is_typing, bool):
            raise ValueError("typing is true or false.")  # noqa: TRY004 - whoever sent it gets it wrong
        if await self._allows(origin, room_id):
            await self._typing.set_remote(user_id, room_id, is_typing=is_typing)

    async def _take_receipts(self, origin: str, content: Mapping[str, Any]) -> None:
        told: dict[str, list[ToldReceipt]] = {}
        count = 0
        for room_id, of_room in content.items():
            users = of_room.get(READ) if isinstance(of_room, dict) else None
            if not isinstance(users, dict):
                continue
            for user_id, receipt in users.items():
                count += 1
                if count > RECEIPTS_PER_EDU_MAX:
                    raise ValueError(f"It has more than {RECEIPTS_PER_EDU_MAX} receipts.")
                told.setdefault(_room(room_id), []).append(
                    self._receipt(_user_of(origin, user_id), receipt)
                )
        for room_id, of_one in told.items():
            try:
                if await self._allows(origin, room_id):
                    await self._receipts.take_in(room_id, of_one)
            except NotFound as error:  # the other rooms may be here
                self._refusals.note_edu(origin, "m.receipt", error.error)

    def _receipt(self, user_id: str, receipt: Any) -> ToldReceipt:
        event_ids = receipt.get("event_ids") if isinstance(receipt, dict) else None
        data = receipt.get("data", {}) if isinstance(receipt, dict) else None
        if not isinstance(event_ids, list) or not event_ids or not isinstance(data, dict):
            raise ValueError("A receipt has event_ids, and data.")
        event_id, thread_id, ts_ms = event_ids[-1], data.get("thread_id"), data.get("ts", 0)
        if not isinstance(event_id, str):
            raise ValueError("event_ids are strings.")  # noqa: TRY004 - whoever sent it gets it wrong
        parse_event_id(event_id)
        if thread_id is not None and (
            not isinstance(thread_id, str) or "\0" in thread_id or not is_thread_id(thread_id)
        ):
            raise ValueError("thread_id names no thread.")
        now_ms = self._clock.now_ms()
        return ToldReceipt(user_id, event_id, thread_id, min(now_ms, _integer(ts_ms, "ts") or now_ms))

    async def _take_presence(self, origin: str, content: Mapping[str, Any]) -> None:
        pushed = content.get("push")
        if not isinstance(pushed, list) or len(pushed) > PRESENCE_PER_EDU_MAX:
            raise ValueError(f"push is an array of at most {PRESENCE_PER_EDU_MAX} users.")
        told = [_presence(origin, one) for one in pushed]
        if self._presence is not None:
            await self._presence.take_in(told)


_LOST_FOR_GOOD = frozenset(("m.direct_to_device", "m.device_list_update", "m.signing_key_update"))
"""Nobody would tell it again, were it acknowledged and not stored."""


def _order(kind: str) -> str:
    # A user's keys and devices change in an order.
    return "m.device_list_update" if kind == "m.signing_key_update" else kind


def _presence(origin: str, told: Any) -> ToldPresence:
    if not isinstance(told, dict):
        raise ValueError("push holds objects.")  # noqa: TRY004 - whoever sent it gets it wrong
    user_id = _user_of(origin, told.get("user_id"))
    presence, status_msg, is_active = (
        told.get("presence"), told.get("status_msg"), told.get("currently_active", False)
    )  # fmt: skip
    ago_ms = told.get("last_active_ago")
    if not isinstance(presence, str) or presence not in _PRESENCES:
        raise ValueError("presence is online, unavailable or offline.")
    if status_msg is not None and (
        not isinstance(status_msg, str) or len(status_msg.encode()) > STATUS_BYTES_MAX
    ):
        raise ValueError(f"status_msg is a string of at most {STATUS_BYTES_MAX} bytes.")
    if not isinstance(is_active, bool):
        raise ValueError("currently_active is true or false.")  # noqa: TRY004 - whoever sent it gets it wrong
    last_active_ago_ms = None if ago_ms is None else _integer(ago_ms, "last_active_ago")
    return ToldPresence(user_id, presence, last_active_ago_ms, status_msg or None, is_active)


def _user_of(origin: str, user_id: Any) -> str:
    if not isinstance(user_id, str) or parse_user_id(user_id).server_name != origin:
        raise ValueError("It tells of somebody who is no user of the server that sent it.")
    return user_id


def _room(room_id: Any) -> str:
    if not isinstance(room_id, str):
        raise ValueError("room_id is a string.")  # noqa: TRY004 - whoever sent it gets it wrong
    parse_room_id(room_id)
    return room_id


def _integer(value: Any, name: str) -> int:
    if type(value) is not int or not 0 <= value <= INTEGER_MAX:
        raise ValueError(f"{name} is an integer that is not negative.")
    return value
