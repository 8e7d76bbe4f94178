"""Puts transactions together: events as they are stored, and EDUs, spliced into canonical JSON.

Spec: https://spec.matrix.org/v1.19/server-server-api/#transactions
"""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from federation.sender.catch_up import CatchUp
from federation.sender.ephemeral_queue import edu
from federation.sender.outbox import Outbox
from federation.sender.ports import DeviceListContents
from federation.sender.queue import (
    EDUS_PER_TRANSACTION_MAX,
    PDUS_PER_TRANSACTION_MAX,
    Queue,
    QueuedEvent,
    Transaction,
)
from homeserver.core.canonical_json import encode_plain
from homeserver.core.errors import NotFound
from homeserver.runtime.clock import Clock
from homeserver.runtime.randomness import Randomness
from storage.tables.device_lists import stream_id_of

__all__ = ["Building"]

DEVICE_LISTS_PER_TRANSACTION_MAX = 20
EPHEMERAL_PER_TRANSACTION_MAX = 30
EDU_BYTES_PER_TRANSACTION_MAX = 1_048_576
LIVE_PDUS_WHILE_BEHIND_MAX = PDUS_PER_TRANSACTION_MAX // 2
assert 2 * DEVICE_LISTS_PER_TRANSACTION_MAX + EPHEMERAL_PER_TRANSACTION_MAX < EDUS_PER_TRANSACTION_MAX


class Building:
    """Makes transactions.

    Args:
        server_name: ours.
        outbox: has messages for devices.
        catch_up: reads what a server lacks.
        device_lists: what is told of the devices of our users.
        clock: for the times.
        randomness: tells the transactions of this process from those of others.
    """

    def __init__(
        self, *, server_name: str, outbox: Outbox, catch_up: CatchUp, device_lists: DeviceListContents,
        clock: Clock, randomness: Randomness,
    ) -> None:  # fmt: skip
        self._server_name = server_name
        self._outbox = outbox
        self._catch_up = catch_up
        self._device_lists = device_lists
        self._clock = clock
        self._prefix = randomness.token_bytes(8).hex()
        self._count = 0

    async def next_transaction(self, queue: Queue) -> Transaction | None:
        """Put together what comes next for a server, and let it be in flight; None: there is nothing.

        Raises:
            Unavailable: the database does not answer; all stays as it is.
        """
        limit = min(queue.pieces_max, PDUS_PER_TRANSACTION_MAX)
        live = queue.next_live(min(limit, LIVE_PDUS_WHILE_BEHIND_MAX) if queue.behind else limit)
        events = live
        if queue.behind and len(live) < limit:
            events = live + await self._catch_up.next_events(queue, limit - len(live))
        edus_max = min(queue.pieces_max - len(events), EDUS_PER_TRANSACTION_MAX)
        lists, users = await self._device_list_edus(queue, edus_max)
        messages = await self._messages(queue, edus_max - len(lists))
        now_ms = self._clock.now_ms()
        left = max(0, edus_max - len(lists) - len(messages))
        # What comes now is lost if it does not arrive, so nothing is awaited any more.
        ephemeral = queue.ephemeral.take(min(left, EPHEMERAL_PER_TRANSACTION_MAX), now_ms)
        edus = [*[one for _, one in messages], *lists, *ephemeral]
        if not events and not edus:
            return None
        self._count += 1
        transaction = Transaction(
            f"{self._prefix}{self._count:x}", self._body(events, edus, now_ms), events, len(edus),
            [position for position, _ in messages], users, now_ms,
        )  # fmt: skip
        queue.begin(transaction, len(live))
        return transaction

    def _body(self, events: Sequence[QueuedEvent], edus: Sequence[bytes], now_ms: int) -> bytes:
        pdus = b",".join([one.event.canonical for one in events])
        return b'{"edus":[%b],"origin":%b,"origin_server_ts":%d,"pdus":[%b]}' % (
            b",".join(edus), encode_plain(self._server_name), now_ms, pdus,
        )  # fmt: skip

    async def _messages(self, queue: Queue, limit: int) -> list[tuple[int, bytes]]:
        """Read the messages for devices that come next, and leave room for what is worth nothing later."""
        if not queue.has_messages or limit <= 0:
            return []
        limit = max(1, limit - EPHEMERAL_PER_TRANSACTION_MAX)
        queue.has_messages = False  # what is committed from now on sets it again
        try:
            found = await self._outbox.oldest(queue.name, limit)
        except BaseException:
            queue.has_messages = True
            raise
        taken: list[tuple[int, bytes]] = []
        size_bytes = 0
        for position, message in found:
            size_bytes += len(message)
            if taken and size_bytes > EDU_BYTES_PER_TRANSACTION_MAX:
                break
            taken.append((position, message))
        if len(found) == limit or len(taken) < len(found):
            queue.has_messages = True
        return taken

    async def _device_list_edus(self, queue: Queue, limit: int) -> tuple[list[bytes], dict[str, int]]:
        edus: list[bytes] = []
        users: dict[str, int] = {}
        count = min(DEVICE_LISTS_PER_TRANSACTION_MAX, (limit + 1) // 2)  # each may take two EDUs
        for user_id, position in list(islice(queue.users.items(), count)):
            try:
                told = await self._device_lists.list_for_server(user_id)
            except NotFound:
                queue.user_told(user_id)
                continue
            users[user_id] = position
            edus += _device_list_edus(position, dict(told))
        return edus, users


def _device_list_edus(position: int, told: dict[str, Any]) -> list[bytes]:
    """Say that the devices of a user changed.

    What has changed of them is not known here, so it is told as if an update before this one had been lost:
    then the other server asks for the list as a whole. It must not take that one for known, as it would one
    from long ago: so its number is the one right before, which no change has.
    """
    stream_id = stream_id_of(position)
    devices = told["devices"]
    content = dict(devices[0]) if devices else {"device_id": "NONE", "deleted": True}
    update = {**content, "prev_id": [stream_id - 1], "stream_id": stream_id, "user_id": told["user_id"]}
    edus = [edu("m.device_list_update", update)]
    keys: dict[str, Any] = {name: told[name] for name in ("master_key", "self_signing_key") if name in told}
    if keys:
        edus.append(edu("m.signing_key_update", {**keys, "user_id": told["user_id"]}))
    return edus
