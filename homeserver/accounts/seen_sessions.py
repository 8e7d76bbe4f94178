"""When, from where and with what each session was last used: gathered in memory, written now and then."""

import asyncio

from homeserver.core.requester import Requester
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import Failure, Observer
from homeserver.runtime.tasks import end_if_cancelled
from storage.pool import Database
from storage.tables import account_states
from storage.tables.account_states import SeenRow

__all__ = ["SeenSessions"]

_TICK_S = 60.0
_WAITING_MAX = 50_000
_AGENT_CHARACTERS_MAX = 200


class SeenSessions:
    """Takes note of who asks, at the cost of an entry in a dictionary.

    Args:
        database: where it is written.
        clock: tells when.
        observer: told of what fails.
    """

    def __init__(self, database: Database, clock: Clock, observer: Observer) -> None:
        self._database = database
        self._clock = clock
        self._observer = observer
        self._waiting: dict[int, tuple[int, int, str, str]] = {}

    def note(self, requester: Requester, address: str, agent: str) -> None:
        """Note that a session is used."""
        session_id = requester.session_id
        if session_id in self._waiting or len(self._waiting) < _WAITING_MAX:
            shown = agent[:_AGENT_CHARACTERS_MAX].replace("\0", "")
            self._waiting[session_id] = (session_id, self._clock.now_ms(), address, shown)

    async def of_user(self, user_id: str) -> list[SeenRow]:
        """When the sessions of a user were last used, this moment included."""
        await self.flush()
        return await account_states.seen_of(self._database, user_id)

    async def flush(self) -> None:
        """Write what was noted."""
        waiting, self._waiting = self._waiting, {}
        if waiting:
            await account_states.note_seen(self._database, list(waiting.values()))

    async def run(self) -> None:
        """Write for ever; to be started once, in the background."""
        while True:
            await asyncio.sleep(_TICK_S)
            try:
                await self.flush()
            except Exception as error:  # noqa: BLE001 - what is lost is only when somebody was seen
                self._observer(Failure(error))
            end_if_cancelled()
