"""Keeps what was acknowledged and has no place in its room yet, so that no crash loses it.

Spec: https://spec.matrix.org/v1.19/server-server-api/#transactions
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from homeserver.core.canonical_json import encode_plain, parse_json
from homeserver.core.errors import LimitExceeded
from homeserver.core.event.size import EVENT_BYTES_MAX
from homeserver.runtime.clock import Clock
from storage.tables import received_pdus
from storage.tables.queries import Queries
from storage.tables.received_pdus import ReceivedPdu

__all__ = ["ATTEMPTS_MAX", "LOOKS_IN_VAIN_MAX", "Staging"]

PDUS_PER_ORIGIN_MAX = 10_000
BYTES_PER_ORIGIN_MAX = 67_108_864
ATTEMPTS_MAX = 12
RETRY_MS_MIN = 30_000
RETRY_MS_MAX = 3_600_000
READ_MAX = 50
ROOMS_PER_LOOK_MAX = 1_000
LOOKS_IN_VAIN_MAX = 20
_BUSY_RETRY_MS = 30_000
_STORED_BYTES_MAX = 2 * EVENT_BYTES_MAX
"""No event is as long: what is not needed of it was left out, and the rest may be written less tersely."""


class Staging:
    """Keeps events, a bounded number of each server.

    Args:
        queries: where they are kept.
        clock: for when to try again.
    """

    def __init__(self, *, queries: Queries, clock: Clock) -> None:
        self._queries = queries
        self._clock = clock
        self._held: dict[str, tuple[int, int]] = {}
        self._looks_in_vain = 0

    async def start(self) -> None:
        """Count what is kept.

        Raises:
            Unavailable: storage does not answer.
        """
        self._held = await received_pdus.sizes(self._queries)

    async def has_any(self) -> bool:
        """Whether anything is kept.

        If not it is counted anew now and then: what broke off while it was written may be there all the same,
        as may what a process that was killed had handed over a moment before.

        Raises:
            Unavailable: storage does not answer.
        """
        if not self._held:
            self._looks_in_vain += 1
            if self._looks_in_vain >= LOOKS_IN_VAIN_MAX:
                self._looks_in_vain = 0
                await self.start()
        return bool(self._held)

    async def keep(
        self, origin: str, room_id: str, pdus: Mapping[str, Any], *, attempts: int = 0
    ) -> list[ReceivedPdu]:
        """Keep events of a room by their IDs; durable on return. What is too long for one is left out.

        Args:
            origin: who sent them.
            room_id: the room.
            pdus: the events.
            attempts: how often they were tried in vain; they are not tried again at once.

        Raises:
            LimitExceeded: too much of that server is kept already.
            Unavailable: storage does not answer.
        """
        encoded = [(event_id, encode_plain(_needed(pdu))) for event_id, pdu in pdus.items()]
        encoded = [one for one in encoded if len(one[1]) <= _STORED_BYTES_MAX]
        added_bytes = sum([len(pdu) for _, pdu in encoded])
        count, size_bytes = self._held.get(origin, (0, 0))
        if count + len(encoded) > PDUS_PER_ORIGIN_MAX or size_bytes + added_bytes > BYTES_PER_ORIGIN_MAX:
            raise LimitExceeded(
                "Too many events of your server wait for their rooms.", retry_after_ms=_BUSY_RETRY_MS
            )
        if not encoded:
            return []
        self._count(origin, len(encoded), added_bytes)
        now_ms = self._clock.now_ms()
        try:
            numbers = await received_pdus.add(
                self._queries, origin, room_id, encoded, received_ms=now_ms, attempts=attempts,
                retry_ms=now_ms + _delay_ms(attempts) if attempts else 0,
            )  # fmt: skip
        except BaseException:
            self._count(origin, -len(encoded), -added_bytes)
            raise
        return [
            ReceivedPdu(number, origin, event_id, pdu, attempts)
            for number, (event_id, pdu) in zip(numbers, encoded, strict=True)
        ]

    async def due(self, room_id: str) -> list[ReceivedPdu]:
        """Read the first events of a room that are to be tried by now.

        Raises:
            Unavailable: storage does not answer.
        """
        return await received_pdus.due_in_room(self._queries, room_id, self._clock.now_ms(), limit=READ_MAX)

    async def rooms_due(self) -> list[tuple[str, str]]:
        """Name rooms of which something is to be tried by now, each with a server that sent of it.

        Raises:
            Unavailable: storage does not answer.
        """
        now_ms = self._clock.now_ms()
        return await received_pdus.rooms_due(self._queries, now_ms, limit=ROOMS_PER_LOOK_MAX)

    async def let_go(self, rows: Iterable[ReceivedPdu]) -> None:
        """Keep events no longer.

        Raises:
            Unavailable: storage does not answer; they come again.
        """
        gone = list(rows)
        if gone:
            await received_pdus.delete(self._queries, [row.number for row in gone])
            for row in gone:
                self._count(row.origin, -1, -len(row.pdu))

    async def try_later(self, rows: Sequence[ReceivedPdu]) -> None:
        """Keep events for another time, later each time.

        Raises:
            Unavailable: storage does not answer; they come again at once.
        """
        if rows:
            now_ms = self._clock.now_ms()
            tries = [(row.number, now_ms + _delay_ms(row.attempts + 1)) for row in rows]
            await received_pdus.try_later(self._queries, tries)

    def _count(self, origin: str, pdus: int, size_bytes: int) -> None:
        count, held_bytes = self._held.get(origin, (0, 0))
        if count + pdus > 0:
            self._held[origin] = (count + pdus, max(0, held_bytes + size_bytes))
        else:
            self._held.pop(origin, None)


def parsed(row: ReceivedPdu) -> Any:
    """Read the JSON of an event that was kept; integers keep their values."""
    return parse_json(row.pdu, strict=False)


def _needed(pdu: Any) -> Any:
    return {key: value for key, value in pdu.items() if key != "unsigned"}


def _delay_ms(attempts: int) -> int:
    return min(RETRY_MS_MIN << min(max(0, attempts - 1), 20), RETRY_MS_MAX)
