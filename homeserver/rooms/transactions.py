"""The transaction IDs that clients used, in memory: a retry gives the event that the first try made."""

import asyncio

from homeserver.core.requester import Requester
from homeserver.rooms.commands import Transaction
from homeserver.rooms.outcomes import Appended
from storage.cache import LruCache
from storage.tables.transactions import Transactions

__all__ = ["SentBefore", "transaction_of"]

_SESSIONS_MAX = 10_000
_KEYS_PER_SESSION_MAX = 1_000


def transaction_of(requester: Requester, room_id: str, event_type: str, transaction_id: str) -> Transaction:
    """Put together what is stored of a transaction ID, which counts for one session, room and type."""
    return Transaction(
        transaction_id, requester.session_id, requester.device_id, f"{room_id}|{event_type}|{transaction_id}"
    )


class SentBefore:
    """What each session has sent lately. The database refuses what this no longer knows.

    Args:
        transactions: read once for each session, so that what it sent to an earlier process is known.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._sessions: LruCache[int, dict[str, Appended]] = LruCache(_SESSIONS_MAX)

    async def know(self, session_id: int) -> None:
        """See to it that what a session sent is at hand; asks the database once for each session."""
        if self._sessions.get(session_id) is None:
            await self._load(session_id)

    def find(self, transaction: Transaction) -> Appended | None:
        """Find what the transaction made already."""
        keys = self._sessions.get(transaction.session_id)
        appended = None if keys is None else keys.get(transaction.key)
        if appended is not None and appended.has_failed:
            return None
        return appended

    def remember(self, transaction: Transaction, appended: Appended) -> None:
        """Take note of what a transaction made."""
        keys = self._sessions.get(transaction.session_id)
        if keys is None:  # forgotten since `know`, because so many sessions are at work
            return
        keys[transaction.key] = appended
        if len(keys) > _KEYS_PER_SESSION_MAX:
            del keys[next(iter(keys))]

    async def stored(self, transaction: Transaction) -> str | None:
        """Ask the database for the event that the transaction made."""
        return await self._transactions.find(transaction.session_id, transaction.key)

    async def _load(self, session_id: int) -> None:
        rows = await self._transactions.latest(session_id, _KEYS_PER_SESSION_MAX)
        if self._sessions.get(session_id) is None:  # nobody else has loaded it in the meantime
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            done.set_result(None)
            self._sessions.put(session_id, {key: Appended(event_id, done) for key, event_id in rows})
