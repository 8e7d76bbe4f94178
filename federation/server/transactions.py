"""What other servers send: events and what is ephemeral, in transactions.

Spec: https://spec.matrix.org/v1.19/server-server-api/#transactions
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from federation.server.origin_limits import OriginLimits
from federation.server.refusals import Refusals
from federation.server.room_queues import Outcome, RoomQueues
from homeserver.core.errors import BadJson, Forbidden, InvalidParam
from homeserver.core.identifiers import parse_event_id, parse_room_id
from homeserver.core.pdu_verdicts import Dropped, Rejected
from homeserver.core.signing import event_id_of
from homeserver.http.endpoint import Authentication, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.runtime.together import side_by_side
from storage.cache import LruCache
from storage.tables.rooms import Rooms

__all__ = ["EDUS_MAX", "PDUS_MAX", "TransactionsFromServers"]

PDUS_MAX = 50
EDUS_MAX = 100
BODY_BYTES_MAX = 16_777_216
"""Of as many of either as a transaction may have, each as long as it may be, loosely written."""

ANSWERS_MAX = 2_000
REASON_CHARACTERS_MAX = 200
TRANSACTION_ID_BYTES_MAX = 1_024

TakeInEdus = Callable[[str, Sequence[Any]], Awaitable[None]]
"""Takes in what is ephemeral of a server; what has to be durable is, on return."""


class TransactionsFromServers:
    """Takes in transactions: the same one twice has the effect, and the answer, of once.

    Args:
        queues: take in events.
        edus: takes in what is ephemeral.
        rooms: knows rooms, and their versions.
        limits: how much each server may send.
        refusals: hears what was refused.
    """

    def __init__(
        self, *, queues: RoomQueues, edus: TakeInEdus, rooms: Rooms, limits: OriginLimits, refusals: Refusals
    ) -> None:
        self._queues = queues
        self._edus = edus
        self._rooms = rooms
        self._limits = limits
        self._refusals = refusals
        self._answers: LruCache[tuple[str, str], dict[str, Any]] = LruCache(ANSWERS_MAX)
        self._under_way: dict[tuple[str, str], asyncio.Task[dict[str, Any]]] = {}

    @endpoint(
        "PUT", "/_matrix/federation/v1/send/{transaction_id}", authentication=Authentication.SERVER,
        body=dict, body_bytes_max=BODY_BYTES_MAX,
        spec="https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1sendtxnid",
    )  # fmt: skip
    async def send_transaction(self, request: Request) -> Response:
        """Take in a transaction; on return it is durable."""
        transaction_id = request.parameters["transaction_id"]
        if len(transaction_id.encode()) > TRANSACTION_ID_BYTES_MAX:
            raise InvalidParam(f"A transaction ID has at most {TRANSACTION_ID_BYTES_MAX} bytes.")
        body: Mapping[str, Any] = request.body
        if body.get("origin", request.origin) != request.origin:
            raise Forbidden("The transaction says that it is of another server than the one that sent it.")
        pdus, edus = _listed(body, "pdus", PDUS_MAX), _listed(body, "edus", EDUS_MAX)
        key = (request.origin, transaction_id)
        answer = self._answers.get(key)
        if answer is None:
            task = self._under_way.get(key)
            if task is None:
                # A server that goes away and comes again finds its transaction under way, or done.
                task = self._under_way[key] = asyncio.ensure_future(self._answer(key, pdus, edus))
                task.add_done_callback(lambda done: self._ended(key, done))
            answer = await asyncio.shield(task)
        return json_response(answer)

    def _ended(self, key: tuple[str, str], done: "asyncio.Task[dict[str, Any]]") -> None:
        del self._under_way[key]
        if not done.cancelled():
            done.exception()  # whoever waits hears of it; nobody may be left

    async def _answer(
        self, key: tuple[str, str], pdus: Sequence[Any], edus: Sequence[Any]
    ) -> dict[str, Any]:
        origin = key[0]
        async with self._limits.turn(origin, max(1, len(pdus) + len(edus) // 4)):
            if edus:
                await self._edus(origin, edus)
            told = await self._take_in(origin, pdus) if pdus else {}
        answer = {"pdus": told}
        self._answers.put(key, answer)
        return answer

    async def _take_in(self, origin: str, pdus: Sequence[Any]) -> dict[str, dict[str, str]]:
        told: dict[str, dict[str, str]] = {}
        by_room: dict[str, dict[str, Any]] = {}
        for pdu in pdus:
            event_id, room_id, reason = await self._named(pdu)
            if reason:
                self._refusals.note(origin, room_id, {event_id: Dropped(reason)})
                if event_id:
                    told[event_id] = {"error": reason}
            else:
                by_room.setdefault(room_id, {})[event_id] = pdu
                told[event_id] = {}
        taken_in = await side_by_side([
            self._queues.take_in(origin, room_id, of_room) for room_id, of_room in by_room.items()
        ])  # fmt: skip
        for outcomes in taken_in:
            for event_id, outcome in outcomes.items():
                if event_id in told:
                    told[event_id] = _result(outcome)
        return told

    async def _named(self, pdu: Any) -> tuple[str, str, str]:
        """Tell an event's ID and room, and what is wrong with it; each may be empty."""
        if not isinstance(pdu, dict):
            return "", "", "The event is not a JSON object."
        event_id, room_id = pdu.get("event_id"), pdu.get("room_id")
        try:
            room_id = str(parse_room_id(room_id if isinstance(room_id, str) else ""))
        except ValueError:
            return _claimed(event_id), "", "The event has no room_id."
        room = await self._rooms.find(room_id)
        if room is None:
            return _claimed(event_id), room_id, "This server is not in the room."
        try:
            event_id = event_id_of(pdu, room.rules)
            parse_event_id(event_id)
        except (ValueError, KeyError, TypeError, AttributeError):
            return "", room_id, "The event has no event ID."
        return event_id, room_id, ""


def _listed(body: Mapping[str, Any], name: str, count_max: int) -> Sequence[Any]:
    listed = body.get(name) or []
    if not isinstance(listed, list):
        raise BadJson(f"{name} is an array.")
    if len(listed) > count_max:
        raise InvalidParam(f"A transaction has at most {count_max} {name}.")
    return listed


def _claimed(event_id: Any) -> str:
    """What an event says its ID is, where nobody can know."""
    try:
        return str(parse_event_id(event_id if isinstance(event_id, str) else ""))
    except ValueError:
        return ""


def _result(outcome: Outcome) -> dict[str, str]:
    # What is put off is ours to place; what was soft-failed, others may place.
    if not isinstance(outcome, Dropped | Rejected):
        return {}
    return {"error": outcome.reason[:REASON_CHARACTERS_MAX]}
