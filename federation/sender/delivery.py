"""Brings to one server after the other what waits for it: one transaction at a time for each.

Spec: https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1sendtxnid
"""

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from federation.destinations import Destinations
from federation.sender.building import Building
from federation.sender.outbox import Outbox
from federation.sender.ports import SendsTransactions
from federation.sender.queue import Queue, Transaction
from homeserver.core.errors import RemoteRefused, Unavailable
from homeserver.core.positions import ms_of
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import Failure, Level, Observation, Observer

__all__ = ["Delivery", "PduRefused", "TransactionRefused", "TransactionSent"]

LINGER_MS = 40
"""At 100 events a second a transaction has four or five then, and each costs both sides half as much CPU."""

KEPT_MS_MAX = 3_600_000
"""A transaction that nobody takes is kept as it is for so long; then only what is stored of it."""
TOO_MUCH = frozenset((400, 413, 414, 422))
"""Answers that may mean one piece of a transaction: others are about the servers themselves."""


@dataclass(frozen=True, slots=True)
class TransactionSent(Observation):
    """A server has acknowledged a transaction.

    Attributes:
        lag_ms: how long the oldest event in it has waited; 0: there was none.
    """

    level: ClassVar[Level] = Level.DEBUG
    destination: str
    pdus: int
    edus: int
    duration_ms: int
    lag_ms: int


@dataclass(frozen=True, slots=True)
class PduRefused(Observation):
    """A server has taken a transaction, and not an event in it."""

    destination: str
    event_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class TransactionRefused(Observation):
    """A server does not take a transaction. If it has but one piece, that is dropped."""

    level: ClassVar[Level] = Level.WARNING
    destination: str
    status: int
    errcode: str
    reason: str
    pieces: int


class Delivery:
    """Delivers queues.

    Args:
        building: puts transactions together.
        transactions: carries them.
        destinations: knows who does not answer.
        outbox: has messages for devices.
        clock: for all times.
        observer: hears what has become of transactions.
        linger_ms: between two transactions to a server that is not behind, so that events come together.
    """

    def __init__(
        self, *, building: Building, transactions: SendsTransactions, destinations: Destinations,
        outbox: Outbox, clock: Clock, observer: Observer, linger_ms: int = LINGER_MS,
    ) -> None:  # fmt: skip
        self._building = building
        self._transactions = transactions
        self._destinations = destinations
        self._outbox = outbox
        self._clock = clock
        self._observer = observer
        self._linger_ms = linger_ms

    async def deliver(self, queue: Queue, transactions_max: int) -> bool:
        """Send what waits until nothing does, the server does not answer, or its turn is over: True.

        Raises:
            Unavailable: our own database does not answer.
        """
        for count in range(transactions_max):
            if not self._destinations.is_due(queue.name):
                return False
            if count and self._linger_ms and not queue.behind:
                await asyncio.sleep(self._linger_ms / 1000)
            transaction = queue.in_flight or await self._building.next_transaction(queue)
            if transaction is None:
                return bool(queue.behind)  # many rooms in a row had nothing
            if not await self._send(queue, transaction):
                return False
        return True

    async def _send(self, queue: Queue, transaction: Transaction) -> bool:
        """Send a transaction; whether to go on."""
        began_ms = self._clock.monotonic_ms()
        try:
            refused = await self._transactions.send(
                queue.name, transaction.transaction_id, transaction.body
            )
        except RemoteRefused as error:
            return await self._refused(queue, transaction, error)
        except Unavailable:
            if not self._destinations.is_failing(queue.name):
                self._destinations.failed(queue.name)  # it was not even asked; not to be tried again at once
            self._failed(queue, transaction)
            return False
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing of the queue may be lost
            self._observer(Failure(error))
            self._destinations.failed(queue.name)
            self._failed(queue, transaction)
            return False
        self._destinations.succeeded(queue.name)
        self._observe(queue, transaction, refused, self._clock.monotonic_ms() - began_ms)
        await self._acknowledge(queue, transaction)
        return True

    async def _refused(self, queue: Queue, transaction: Transaction, error: RemoteRefused) -> bool:
        pieces = transaction.pieces
        self._observer(TransactionRefused(queue.name, error.status, error.errcode, error.error, pieces))
        if error.status not in TOO_MUCH:
            self._destinations.failed(queue.name)
            self._failed(queue, transaction)
            return False
        if not queue.shrink():
            await self._acknowledge(queue, transaction)  # nobody is to wait for it for ever
        return True

    def _failed(self, queue: Queue, transaction: Transaction) -> None:
        queue.fail()
        queue.ephemeral.clear()
        if self._clock.now_ms() - transaction.started_ms > KEPT_MS_MAX:
            queue.give_up_transaction()

    async def _acknowledge(self, queue: Queue, transaction: Transaction) -> None:
        queue.acknowledge()
        if transaction.messages:
            try:
                await self._outbox.arrived(queue.name, transaction.messages)
            except Unavailable:
                queue.has_messages = True  # they come twice, and have an ID for that
                raise

    def _observe(
        self, queue: Queue, transaction: Transaction, refused: dict[str, str], duration_ms: int
    ) -> None:
        first = min([one.position for one in transaction.events], default=0)
        lag_ms = max(0, self._clock.now_ms() - ms_of(first)) if first else 0
        self._observer(
            TransactionSent(queue.name, len(transaction.events), transaction.edus, duration_ms, lag_ms)
        )
        sent = {one.event.event_id for one in transaction.events}
        for event_id, reason in refused.items():
            if event_id in sent:
                self._observer(PduRefused(queue.name, event_id, reason))
