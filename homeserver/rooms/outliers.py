"""Events whose place in the graph is unknown: the state and the auth chains that other servers tell us of.

Spec: https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import parse_event_id
from homeserver.core.pdu_checks import (
    Checks,
    NeedAuthEvents,
    NeedSignatures,
    check_against_auth_events,
    check_form,
)
from homeserver.core.pdu_verdicts import Accepted, Rejected, Verdict
from homeserver.core.room_versions import RoomVersionRules
from homeserver.core.signing import event_id_of
from homeserver.rooms.commands import Draft
from homeserver.rooms.compose import intern
from homeserver.rooms.ports import Signatures
from storage.interning import Interning
from storage.journal import Journal
from storage.tables.events import EventFlags, EventPlace, Events, StoredEvent, add_event
from storage.write import Write

__all__ = [
    "OUTLIERS_MAX", "Outliers", "RoomContext", "in_order", "named", "named_beside", "references",
]  # fmt: skip

Result = TypeVar("Result")

OUTLIERS_MAX = 300_000
"""Taken in at once: the state of the largest rooms, and what allows it."""

_EVENTS_PER_WRITE_MAX = 500
_STEPS_AT_ONCE_MAX = 50
_NAMED_ON_LOOP_MAX = 100


@dataclass(frozen=True, slots=True)
class RoomContext:
    """What outliers are checked against.

    Attributes:
        room_id: the room.
        room_nid: as storage numbers it.
        rules: of its version.
        create: its `m.room.create`; None while that is not known.
    """

    room_id: str
    room_nid: int
    rules: RoomVersionRules
    create: Event | None


@dataclass(frozen=True, slots=True)
class _Checked:
    event: Event
    is_rejected: bool


def named(pdus: Iterable[Any], rules: RoomVersionRules) -> dict[str, Any]:
    """Name PDUs by their event IDs; those that have none are left out."""
    found = {}
    for pdu in pdus:
        if isinstance(pdu, dict):
            with suppress(ValueError, KeyError, TypeError, AttributeError):
                event_id = event_id_of(pdu, rules)
                parse_event_id(event_id)
                found[event_id] = pdu
    return found


async def named_beside(pdus: Iterable[Any], rules: RoomVersionRules) -> dict[str, Any]:
    """Name PDUs, very many of them beside the event loop."""
    told = list(pdus)
    return await _beside(len(told), lambda: named(told, rules))


async def _beside(count: int, work: Callable[[], Result]) -> Result:
    return work() if count <= _NAMED_ON_LOOP_MAX else await asyncio.to_thread(work)


def in_order(pdus: Mapping[str, Any], key: str, rules: RoomVersionRules) -> list[str]:
    """Sort PDUs so that each comes after those of the others that it names under `key`."""
    ordered: dict[str, None] = {}
    for start in pdus:
        path = [start]
        while path:
            event_id = path[-1]
            before = references(pdus[event_id], key, rules)
            # What is on the path already names itself, by way of others: bad servers may try that.
            ahead = next(
                (one for one in before if one in pdus and one not in ordered and one not in path), None
            )
            if event_id in ordered or ahead is None:
                ordered[event_id] = None
                path.pop()
            else:
                path.append(ahead)
    return list(ordered)


def references(pdu: Mapping[str, Any], key: str, rules: RoomVersionRules) -> list[str]:
    """The event IDs that an unchecked PDU names under a key."""
    references = pdu.get(key)
    if not isinstance(references, list):
        return []
    if rules.event_references_are_pairs:
        references = [pair[0] for pair in references if isinstance(pair, list) and pair]
    return [one for one in references if isinstance(one, str)]


class Outliers:
    """Checks and stores outliers.

    Args:
        events: those that are stored.
        journal: takes new ones.
        interning: numbers of their strings.
        signatures: verifies them.
    """

    def __init__(
        self, *, events: Events, journal: Journal, interning: Interning, signatures: Signatures
    ) -> None:
        self._events = events
        self._journal = journal
        self._interning = interning
        self._signatures = signatures

    async def store(self, room: RoomContext, pdus: Iterable[Any]) -> None:
        """Check and store those of some events that are not stored yet.

        What is no event is left out, and so is what names auth events that are not at hand: whoever has them
        may tell us another time, so that is no reason to reject it for ever.

        Raises:
            Unavailable: they were not stored; the same may be tried again.
        """
        await self.store_named(room, await named_beside(pdus, room.rules))

    async def store_named(self, room: RoomContext, pdus: Mapping[str, Any]) -> None:
        """Do the same with PDUs by their event IDs.

        Raises:
            Unavailable: they were not stored; the same may be tried again.
        """
        known = await self._events.by_ids(pdus)
        fresh = {event_id: pdu for event_id, pdu in pdus.items() if event_id not in known}
        checked: dict[str, _Checked] = {}
        create = room.create or _create_among(known.values(), room)
        ordered = await _beside(len(fresh), lambda: in_order(fresh, "auth_events", room.rules))
        # Not every room version names the create event among the auth events, but all wait for it.
        ordered.sort(key=lambda event_id: fresh[event_id].get("type") != "m.room.create")
        formed = await self.formed(
            room.rules, {event_id: fresh[event_id] for event_id in ordered[:OUTLIERS_MAX]}
        )
        for number, (event_id, of_form) in enumerate(formed.items()):
            await _now_and_then(number)
            context = RoomContext(room.room_id, room.room_nid, room.rules, create)
            try:
                verdict = await self._check(context, of_form, checked)
            except _NoAuthEventsError:
                continue
            if isinstance(verdict, Accepted | Rejected) and verdict.event.room_id == room.room_id:
                checked[event_id] = _Checked(verdict.event, isinstance(verdict, Rejected))
                if create is None and verdict.event.type == "m.room.create":
                    create = verdict.event
        await self._write(room, checked)

    async def formed(self, rules: RoomVersionRules, pdus: Mapping[str, Any]) -> dict[str, Verdict]:
        """Check the form, signatures and hashes of some PDUs: all together, since they may be many."""
        verdicts: dict[str, Verdict] = {}
        waiting: list[tuple[str, Checks, NeedSignatures]] = []
        for event_id, pdu in pdus.items():
            checks = check_form(pdu, rules)
            try:
                need = next(checks)
            except StopIteration as done:
                verdicts[event_id] = done.value
                continue
            assert isinstance(need, NeedSignatures), "the form of an event needs nothing else"
            waiting.append((event_id, checks, need))
            await _now_and_then(len(waiting))
        several = [(need.pdu, need.signers) for _, _, need in waiting]
        missing = await self._signatures.missing_on_each(several, rules)
        for number, ((event_id, checks, _), unsigned_by) in enumerate(zip(waiting, missing, strict=True)):
            try:
                checks.send(unsigned_by)
            except StopIteration as done:
                verdicts[event_id] = done.value
            await _now_and_then(number)
        return {event_id: verdicts[event_id] for event_id in pdus}

    async def _check(self, room: RoomContext, formed: Verdict, checked: Mapping[str, _Checked]) -> Verdict:
        if not isinstance(formed, Accepted):
            return formed
        checks = check_against_auth_events(formed.event, room.create)
        try:
            need = next(checks)
            while True:
                assert isinstance(need, NeedAuthEvents), "an outlier is not checked against states"
                need = checks.send(await self._auth_events(need.event.auth_events, checked))
        except StopIteration as done:
            verdict: Verdict = done.value
            return verdict

    async def _auth_events(
        self, event_ids: Sequence[str], checked: Mapping[str, _Checked]
    ) -> tuple[dict[str, Event], set[str]]:
        found = {one: checked[one].event for one in event_ids if one in checked}
        rejected = {one for one in found if checked[one].is_rejected}
        stored = await self._events.by_ids([one for one in event_ids if one not in found])
        for event_id, one in stored.items():
            found[event_id] = one.event
            if one.flags & EventFlags.REJECTED:
                rejected.add(event_id)
        if len(found) < len(set(event_ids)):
            raise _NoAuthEventsError
        return found, rejected

    async def _write(self, room: RoomContext, checked: Mapping[str, _Checked]) -> None:
        events = [one.event for one in checked.values()]
        drafts = [Draft(event.type, event.sender, {}, event.state_key) for event in events]
        numbers = await intern(self._interning, drafts)
        auth_ids = {event_id for event in events for event_id in event.auth_events}
        nids = await self._events.nids_of(room.room_nid, auth_ids)
        committed = []
        for start in range(0, len(events), _EVENTS_PER_WRITE_MAX):
            write = Write(order_key=room.room_id)
            for event, numbered in zip(
                events[start : start + _EVENTS_PER_WRITE_MAX], numbers[start:], strict=False
            ):
                nids[event.event_id] = self._journal.next_position()
                flags = EventFlags.OUTLIER
                if checked[event.event_id].is_rejected:
                    flags |= EventFlags.REJECTED
                auth_nids = [nids[one] for one in event.auth_events if one in nids]
                place = EventPlace(nids[event.event_id], None, auth_nids, flags)
                add_event(write, event, room.room_nid, numbered, place)
            committed.append(self._journal.append(write))
        for one in committed:
            await asyncio.shield(one)


async def _now_and_then(number: int) -> None:
    """Let others have the event loop, every so many steps."""
    if number % _STEPS_AT_ONCE_MAX == 0:
        await asyncio.sleep(0)


def _create_among(stored: Iterable[StoredEvent], room: RoomContext) -> Event | None:
    """Find the event that made a room among what is here already, for a server that comes in again."""
    for one in stored:
        if one.event.type == "m.room.create" and one.room_nid == room.room_nid:
            return None if one.flags & EventFlags.REJECTED else one.event
    return None


class _NoAuthEventsError(Exception):
    """Some auth events of an event are not at hand."""
