"""Joins of rooms by way of other servers that are in them.

Spec: https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson

from homeserver.core.errors import Forbidden, IncompatibleRoomVersion, MatrixError, Unavailable
from homeserver.core.event.pdu import Event
from homeserver.core.pdu_form import required_signers
from homeserver.core.pdu_verdicts import Accepted
from homeserver.core.room_versions import RoomVersionRules
from homeserver.rooms.adoption import RoomAdoption
from homeserver.rooms.ingest import Ingest
from homeserver.rooms.outliers import named
from homeserver.rooms.ports import Signatures
from homeserver.rooms.remote_handshake import Handshakes, Refusals, Shaken
from homeserver.rooms.residency import Residency
from homeserver.runtime.tasks import Tasks
from storage.pool import Database
from storage.tables import pending_joins
from storage.tables.pending_joins import PendingJoin

__all__ = ["RemoteJoining"]

JOIN_TIMEOUT_S = 600.0
"""For all servers together. Whoever waits for it may go away before."""

_Outcome = str | MatrixError | None


class RemoteJoining:
    """Joins them. A join is not begun a second time while it goes on.

    It goes on if whoever asked for it goes away, and after a restart of the server.

    Args:
        handshakes: with servers that are in the room.
        adoption: takes over rooms.
        ingest: takes in the event where the room is here already.
        residency: knows whether it is.
        signatures: verifies events.
        tasks: runs joins.
        database: keeps those that have not ended.
    """

    def __init__(
        self, *, handshakes: Handshakes, adoption: RoomAdoption, ingest: Ingest, residency: Residency,
        signatures: Signatures, tasks: Tasks, database: Database,
    ) -> None:  # fmt: skip
        self._handshakes = handshakes
        self._adoption = adoption
        self._ingest = ingest
        self._residency = residency
        self._signatures = signatures
        self._tasks = tasks
        self._database = database
        self._running: dict[tuple[str, str], asyncio.Task[_Outcome]] = {}
        self._rooms: dict[str, asyncio.Lock] = {}

    async def join(
        self, user_id: str, room_id: str, servers: Sequence[str], content: dict[str, Any], *,
        is_resident: bool = False,
    ) -> str | None:  # fmt: skip
        """Let a user of ours into a room; returns the ID of the member event.

        Args:
            user_id: who.
            room_id: the room.
            servers: that may be in it, the best first.
            content: of the member event.
            is_resident: the room is here, and nobody who is may let the user in.

        Returns:
            None: the room is here by now, as somebody else of ours came in; the user may do so here.

        Raises:
            BadJson, TooLarge: the content has no canonical JSON, or is too large.
            Forbidden: what the servers tell of the room does not let the user in.
            NotFound: no server is known.
            RemoteRefused: the servers say no.
            Unavailable: no server answers.
            UnsupportedRoomVersion: the room has a version that is not known here.
        """
        running = self._running.get((room_id, user_id))
        if running is None:
            join = PendingJoin(room_id, user_id, servers, orjson.dumps(content))
            running = self._start(join, is_resident=is_resident)
        outcome = await asyncio.shield(running)
        if isinstance(outcome, MatrixError):
            raise outcome
        return outcome

    async def resume(self) -> None:
        """Go on with the joins that the life of the server before this one has left."""
        for join in await pending_joins.take_up(self._database):
            self._start(join, is_resident=False)

    async def settled(self, room_id: str) -> None:
        """Wait until the joins of a room that go on have ended, well or not."""
        running = [task for (of_room, _), task in self._running.items() if of_room == room_id]
        if running:
            await asyncio.wait(running)

    def _start(self, join: PendingJoin, *, is_resident: bool) -> "asyncio.Task[_Outcome]":
        key = (join.room_id, join.user_id)
        work = self._run(join, is_resident=is_resident)
        running = self._running[key] = self._tasks.start(work, "join of a room of other servers")
        running.add_done_callback(lambda _: self._running.pop(key, None))
        return running

    async def _run(self, join: PendingJoin, *, is_resident: bool) -> _Outcome:
        room_id = join.room_id
        outcome: _Outcome = None
        lock = self._rooms.setdefault(room_id, asyncio.Lock())
        try:
            async with asyncio.timeout(JOIN_TIMEOUT_S), lock:
                if is_resident:
                    return await self._first(join, is_resident=True)
                if not await self._residency.is_resident(room_id):
                    await pending_joins.begin(self._database, join)
                    outcome = await self._first(join, is_resident=False)
        except MatrixError as error:  # nobody may be left to hear of it
            outcome = error
        except TimeoutError:
            outcome = Unavailable("The other servers take too long to let you in. Try again.")
        finally:
            if not lock.locked() and self._rooms.get(room_id) is lock:
                del self._rooms[room_id]
        # Not if the server ends meanwhile: its next life goes on.
        await pending_joins.end(self._database, room_id, join.user_id)
        return outcome

    async def _first(self, join: PendingJoin, *, is_resident: bool) -> str:
        refusals = Refusals()
        content = orjson.loads(join.content)
        for server in join.servers:
            try:
                shaken = await self._handshakes.shake(
                    server, "join", join.room_id, join.user_id, content, prepare=self._adoption.expect
                )
                entry = await self._entry(server, shaken)
                if is_resident:
                    await self._take_in(server, entry)
                else:
                    await self._adopt(server, entry, shaken.answer)
            except MatrixError as error:
                refusals.note(error)
            else:
                return entry.event_id
        raise refusals.error

    async def _entry(self, server: str, shaken: Shaken) -> Event:
        """Find the event as the server has it: with the signature of whoever vouches for the user."""
        event = shaken.event
        signers = required_signers(event.pdu, event.rules)
        if len(signers) == 1:  # ours
            return event
        told = shaken.answer.get("event")
        signatures = told.get("signatures") if isinstance(told, dict) else None
        if not isinstance(signatures, dict) or event.event_id not in named([told], event.rules):
            raise Unavailable(f"{server} does not vouch for who joins, as it said it would.")
        others = {name: one for name, one in signatures.items() if name in signers}
        pdu = {**event.pdu, "signatures": others | event.pdu["signatures"]}
        if await self._signatures.missing_on(pdu, event.rules, signers):
            raise Unavailable(f"{server} does not vouch for who joins, as it said it would.")
        return Event.from_pdu(pdu, event.rules)

    async def _take_in(self, server: str, entry: Event) -> None:
        outcomes = await self._ingest.receive(server, entry.room_id, [entry.pdu])
        outcome = outcomes.get(entry.event_id)
        if outcome is not None and not isinstance(outcome, Accepted):
            raise Forbidden(outcome.reason)

    async def _adopt(self, server: str, entry: Event, answer: dict[str, Any]) -> None:
        state, auth_chain = answer.get("state"), answer.get("auth_chain")
        if not isinstance(state, list) or not isinstance(auth_chain, list) or answer.get("members_omitted"):
            raise Unavailable(f"{server} does not tell the state of the room.")
        _check_version(state, entry.rules)
        await self._adoption.adopt(entry.rules, entry, state, auth_chain)


def _check_version(state: list[Any], rules: RoomVersionRules) -> None:
    for pdu in state:
        if isinstance(pdu, dict) and pdu.get("type") == "m.room.create":
            content = pdu.get("content")
            version = content.get("room_version", "1") if isinstance(content, dict) else None
            if version != rules.version:
                raise IncompatibleRoomVersion(
                    "The other server gives the room another version than the room itself."
                )
