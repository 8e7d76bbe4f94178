"""What is known of the signing keys of servers: in memory, in the database, and to be asked for.

A server that is dead is not asked for each event that it signed once, nor one whose keys do not suffice; what
several want to know at a time is asked once.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

from federation.client.server_keys import Fetched, ServerKeyRequests
from homeserver.core.canonical_json import encode_plain
from homeserver.core.errors import MatrixError, Unavailable
from homeserver.core.server_keys import OwnKeys, VerifyKey, merged
from homeserver.runtime.backoff import Backoff
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import Level, Observation, Observer
from homeserver.runtime.randomness import Randomness
from homeserver.runtime.tasks import Tasks
from homeserver.runtime.together import Together, side_by_side
from storage.cache import LruCache
from storage.tables.server_keys import KnownServer, ServerKeys

__all__ = ["KeysNotFound", "KnownKeys", "Wanted", "suffices"]

SERVERS_IN_MEMORY_MAX = 10_000
ASKED_AT_ONCE_MAX = 40
"""Servers of each kind: those that we know, and those that are but names, which anybody may make up."""

NAMES_WAITING_MAX, WAITING_MAX = 1_000, 2_000
"""Servers that wait to be asked; past the first no mere name is asked, past the second no server at all."""

CURIOSITIES_WAITING_MAX = 100
"""Past so many servers that are to be asked, nobody is asked for others who want to know."""

ASKED_AGAIN_MS_MIN = 10_000
"""A server is not asked more often than this, whatever may be signed in its name."""

FAILED_MS_MIN, FAILED_MS_MAX = 30_000, 3_600_000
"""How long a server that did not answer is left alone."""

NOTARIES_FIRST_MIN = 10
"""Where the keys of so many servers are wanted together, those are asked first who may have them all."""

SERVERS_PER_QUERY_MAX = 100

Wanted = Mapping[str, int]
"""Key IDs, and until when each should be valid; 0: at any time will do."""


@dataclass(frozen=True, slots=True)
class KeysNotFound(Observation):
    """The signing keys of a server cannot be had, for now.

    Attributes:
        server_name: the server.
        reason: a sentence.
    """

    level: ClassVar[Level] = Level.INFO
    server_name: str
    reason: str


def suffices(keys: Mapping[str, VerifyKey], wanted: Wanted) -> bool:
    """Whether all keys that are wanted are there, and valid for long enough."""
    return all(key_id in keys and keys[key_id].valid_until_ms >= until for key_id, until in wanted.items())


class _Pause:
    """Until when a server is not asked again."""

    __slots__ = ("backoff", "retry_if_awake_ms", "retry_ms")

    def __init__(self, randomness: Randomness) -> None:
        self.backoff = Backoff(FAILED_MS_MIN, FAILED_MS_MAX, randomness)
        self.retry_ms = 0
        self.retry_if_awake_ms = 0

    def begin(self, now_ms: int, *, has_failed: bool) -> None:
        self.retry_if_awake_ms = self.retry_ms = now_ms + ASKED_AGAIN_MS_MIN
        if has_failed:
            self.retry_ms = now_ms + self.backoff.next_delay_ms()
        else:
            self.backoff.reset()


class KnownKeys:
    """Knows the keys of servers, or finds them out.

    Args:
        own: of this server.
        table: what was heard before.
        requests: asks servers.
        notaries: servers that are asked for the keys of others.
        clock: tells the time.
        randomness: for the pauses of servers that fail.
        observer: hears of servers whose keys cannot be had.
    """

    def __init__(
        self,
        *,
        own: OwnKeys,
        table: ServerKeys,
        requests: ServerKeyRequests,
        notaries: Sequence[str],
        clock: Clock,
        randomness: Randomness,
        observer: Observer,
    ) -> None:
        self._server_name = own.server_name
        self._own_keys = own.verify_keys()
        self._table = table
        self._requests = requests
        self._notaries = [one for one in notaries if one != own.server_name]
        self._clock = clock
        self._randomness = randomness
        self._observer = observer
        self._known: LruCache[str, KnownServer] = LruCache(SERVERS_IN_MEMORY_MAX)
        self._pauses: LruCache[str, _Pause] = LruCache(SERVERS_IN_MEMORY_MAX)
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._turns = {is_known: asyncio.Semaphore(ASKED_AT_ONCE_MAX) for is_known in (False, True)}
        self._reads = Together(table.find)
        self._tasks = Tasks(observer)

    async def close(self) -> None:
        """Ask nobody any more."""
        await self._tasks.close()

    def at_hand(self, server_name: str) -> Mapping[str, VerifyKey]:
        """The keys of a server that are in memory."""
        if server_name == self._server_name:
            return self._own_keys
        known = self._known.get(server_name)
        return {} if known is None else known.keys

    async def keys_of(
        self, server_name: str, wanted: Wanted, *, is_awake: bool = False
    ) -> Mapping[str, VerifyKey]:
        """The keys of a server, as good as they can be had: whether they suffice is for the caller to see.

        Args:
            server_name: the server.
            wanted: what they should hold.
            is_awake: it seems to have sent something just now, so that it is asked though it failed before.

        Raises:
            Unavailable: too many servers are to be asked just now, or storage does not answer.
        """
        keys = self.at_hand(server_name)
        if suffices(keys, wanted) or server_name == self._server_name:
            return keys
        keys = (await self.stored(server_name)).keys
        if suffices(keys, wanted):
            return keys
        if self._may_ask(server_name, is_awake=is_awake):
            await self._asked(server_name, wanted)
        return self.at_hand(server_name)

    async def prepare(self, wanted: Mapping[str, Wanted]) -> None:
        """Have the keys of several servers at hand, as far as they can be had.

        Raises:
            Unavailable: storage does not answer.
        """
        stored = await side_by_side(map(self.stored, wanted), at_once_max=max(1, len(wanted)))
        lacking = {
            name: one
            for (name, one), known in zip(wanted.items(), stored, strict=True)
            if not suffices(known.keys, one) and self._may_ask(name)
        }
        if len(lacking) >= NOTARIES_FIRST_MIN:
            lacking = await self._ask_notaries(lacking)
        await side_by_side(
            (self.keys_of(name, one) for name, one in lacking.items()), at_once_max=ASKED_AT_ONCE_MAX
        )

    async def stored(self, server_name: str) -> KnownServer:
        """What is known of the keys of a server without asking for them."""
        known = self._known.get(server_name)
        if known is None:
            found = await self._reads.ask(server_name)
            # What was fetched in the meantime is newer.
            known = self._known.get(server_name) or found
            self._known.put(server_name, known)
        return known

    async def answer_of(self, server_name: str) -> bytes | None:
        """What a server said of its keys last, as it signed it; None: it never did."""
        return await self._table.answer(server_name)

    async def refresh(self, server_name: str) -> None:
        """Ask a server again, out of curiosity: not if it was just asked, fails, or others wait."""
        if self._may_ask(server_name) and len(self._asking) < CURIOSITIES_WAITING_MAX:
            await self._asked(server_name, {})

    def renew(self, server_name: str) -> None:
        """Begin to ask a server again whose keys are soon to end, so that nobody need wait then."""
        if server_name not in self._asking and self._may_ask(server_name) and len(self._asking) < WAITING_MAX:
            self._start(server_name, {})

    def _may_ask(self, server_name: str, *, is_awake: bool = False) -> bool:
        pause = self._pauses.get(server_name)
        if pause is None or server_name in self._asking:
            return True
        return self._clock.monotonic_ms() >= (pause.retry_if_awake_ms if is_awake else pause.retry_ms)

    async def _asked(self, server_name: str, wanted: Wanted) -> None:
        if server_name not in self._asking:
            if len(self._asking) >= (WAITING_MAX if self.at_hand(server_name) else NAMES_WAITING_MAX):
                raise Unavailable("The signing keys of too many servers are waited for; try again later.")
            self._start(server_name, wanted)
        # Whoever waits may give up; the others still wait.
        await asyncio.shield(self._asking[server_name])

    def _start(self, server_name: str, wanted: Wanted) -> None:
        task = self._tasks.start(self._ask(server_name, wanted), "server keys")
        self._asking[server_name] = task
        task.add_done_callback(lambda _: self._asking.pop(server_name, None))

    async def _ask(self, server_name: str, wanted: Wanted) -> None:
        error: MatrixError | None = None
        try:
            async with self._turns[bool(self.at_hand(server_name))]:
                fetched = await self._requests.fetch(server_name)
            await self._take_in(server_name, fetched)
        except MatrixError as caught:
            error = caught
        pause = self._pauses.get(server_name) or _Pause(self._randomness)
        pause.begin(self._clock.monotonic_ms(), has_failed=error is not None)
        self._pauses.put(server_name, pause)
        # Notaries show by keys of their own that they are asked, so those are had from nobody else.
        if error is None or (
            server_name not in self._notaries and not await self._ask_notaries({server_name: wanted})
        ):
            return
        self._observer(KeysNotFound(server_name, error.error))

    async def _ask_notaries(self, wanted: Mapping[str, Wanted]) -> dict[str, Wanted]:
        """Ask for the keys of servers that are no notaries; returns those whose keys do not suffice then."""
        lacking = dict(wanted)
        for notary in self._notaries:
            rest = iter([name for name in lacking if name not in self._notaries])
            while names := list(islice(rest, SERVERS_PER_QUERY_MAX)):
                with suppress(MatrixError):
                    await self._ask_notary(notary, {name: lacking[name] for name in names})
            lacking = {
                name: one
                for name, one in lacking.items()
                if not self.at_hand(name) or not suffices(self.at_hand(name), one)
            }
        return lacking

    async def _ask_notary(self, notary: str, wanted: Mapping[str, Wanted]) -> None:
        now_ms = self._clock.now_ms()
        keys = (await self.stored(notary)).keys
        if not any(key.valid_until_ms >= now_ms and not key.is_old for key in keys.values()):
            if not self._may_ask(notary):
                return
            await self._asked(notary, {})
        found = await self._requests.query(notary, self.at_hand(notary), wanted)
        for name, several in found.items():
            for fetched in sorted(several, key=lambda one: int(one[1]["valid_until_ts"])):
                await self._take_in(name, fetched)

    async def _take_in(self, server_name: str, fetched: Fetched) -> None:
        keys, answer = fetched
        known = KnownServer(merged((await self.stored(server_name)).keys, keys), self._clock.now_ms())
        self._known.put(server_name, known)
        # What cannot be written now is known all the same, until it is forgotten.
        with suppress(Unavailable):
            await self._table.put(server_name, known, encode_plain(answer))
