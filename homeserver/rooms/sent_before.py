"""What each session sent lately, by transaction ID: so that a repetition gives the same event.

Kept in the same commit as the event. A session's last ones are read once, when it sends for the first time
since the start; an older repetition runs into the stored row and is then found there.
"""

import asyncio

from homeserver.rooms.commands import Origin
from homeserver.rooms.outcomes import Sent
from storage.cache import LruCache
from storage.tables.transactions import Transactions

__all__ = ["SentBefore"]

SESSIONS_MAX = 20_000
TRANSACTIONS_PER_SESSION_MAX = 1_000


class SentBefore:
    """The transactions of the sessions that send.

    Args:
        transactions: those of earlier runs.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._sessions: LruCache[int, dict[str, Sent]] = LruCache(SESSIONS_MAX)

    def is_known(self, session_id: int) -> bool:
        """Say whether the session's last transactions are at hand."""
        return session_id in self._sessions

    async def learn(self, session_id: int) -> None:
        """Read the session's last transactions."""
        rows = await self._transactions.latest(session_id, TRANSACTIONS_PER_SESSION_MAX)
        if session_id not in self._sessions:
            self._sessions.put(session_id, {key: Sent(event_id, None) for key, event_id in rows})

    def find(self, origin: Origin, key: str) -> Sent | None:
        """Find what the transaction made."""
        session = self._sessions.get(origin.requester.session_id)
        # An empty dict is a session too.
        return None if session is None else session.get(key)

    async def find_stored(self, origin: Origin, key: str) -> str | None:
        """Look in storage for what the transaction made."""
        return await self._transactions.find(origin.requester.session_id, key)

    def note(self, origin: Origin, key: str, sent: Sent) -> None:
        """Take note of a transaction; it is forgotten if it is not committed."""
        session = self._sessions.get(origin.requester.session_id)
        if session is None:
            return
        session[key] = sent
        if len(session) > TRANSACTIONS_PER_SESSION_MAX:
            del session[next(iter(session))]
        committed = sent.committed
        if committed is not None:

            def forget_failure(done: "asyncio.Future[None]") -> None:
                failed = done.cancelled() or done.exception() is not None
                if failed and session.get(key) is sent:
                    del session[key]

            committed.add_done_callback(forget_failure)
