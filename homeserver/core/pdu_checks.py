"""The checks on receipt of a PDU, all of them, in order.

Spec: https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu

They wait for nothing: what they need they yield, and whoever runs them answers. An answer that cannot be had
is the business of the answerer, who may give the checks up.
"""

from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from homeserver.core.auth.check import authorize, authorize_by_auth_events
from homeserver.core.auth.selection import StateKey, auth_types_for
from homeserver.core.event.pdu import Event
from homeserver.core.pdu_form import check_format, required_signers, with_valid_hash
from homeserver.core.pdu_verdicts import Accepted, Dropped, Rejected, SoftFailed, Verdict
from homeserver.core.room_versions import RoomVersionRules

__all__ = [
    "CheckNeed", "Checks", "NeedAuthEvents", "NeedCurrentState", "NeedPolicy", "NeedSignatures",
    "NeedStateBefore", "check_against_auth_events", "check_form", "check_received_pdu",
]  # fmt: skip

_CREATE: StateKey = ("m.room.create", "")


@dataclass(frozen=True, slots=True)
class NeedSignatures:
    """Answer with those of the servers whose valid signature the PDU does not carry."""

    pdu: Mapping[str, Any]
    signers: Collection[str]


@dataclass(frozen=True, slots=True)
class NeedAuthEvents:
    """Answer with the auth events of an event that can be had, by ID, and the IDs of the rejected."""

    event: Event


@dataclass(frozen=True, slots=True)
class NeedStateBefore:
    """Answer with what the state before an event has for these keys."""

    event: Event
    keys: Collection[StateKey]


@dataclass(frozen=True, slots=True)
class NeedCurrentState:
    """Answer with what the current state of the room has for these keys."""

    event: Event
    keys: Collection[StateKey]


@dataclass(frozen=True, slots=True)
class NeedPolicy:
    """Answer whether the room's policy server has no objection to an event, or there is none."""

    event: Event


CheckNeed = NeedSignatures | NeedAuthEvents | NeedStateBefore | NeedCurrentState | NeedPolicy

Checks = Generator[CheckNeed, Any, Verdict]


def check_received_pdu(pdu: Any, rules: RoomVersionRules, create: Event) -> Checks:
    """Check a PDU of a room that we are in.

    Args:
        pdu: as parsed.
        rules: of the room's version.
        create: the room's `m.room.create`.
    """
    verdict = yield from check_form(pdu, rules)
    if not isinstance(verdict, Accepted):
        return verdict
    event = verdict.event
    if event.room_id != create.room_id:
        return Dropped("The event is of another room.")
    verdict = yield from check_against_auth_events(event, create)
    return (yield from _check_against_states(event)) if isinstance(verdict, Accepted) else verdict


def _check_against_states(event: Event) -> Checks:
    keys = (_CREATE, *auth_types_for(event.rules, event.type, event.sender, event.state_key, event.content))
    denied = authorize(event, (yield NeedStateBefore(event, keys)))
    if denied is not None:
        return Rejected(event, f"By the state before it: {denied.reason}")
    denied = authorize(event, (yield NeedCurrentState(event, keys)))
    if denied is not None:
        return SoftFailed(event, f"By the current state: {denied.reason}")
    if not (yield NeedPolicy(event)):
        return SoftFailed(event, "The policy server of the room refuses it.")
    return Accepted(event)


def check_form(pdu: Any, rules: RoomVersionRules) -> Checks:
    """Check format, signatures and content hash; an event whose hash is wrong is taken as redacted."""
    dropped = check_format(pdu, rules)
    if dropped is not None:
        return dropped
    signers = required_signers(pdu, rules)
    unsigned_by = yield NeedSignatures(pdu, signers)
    if unsigned_by:
        return Dropped(f"The event is not signed by {', '.join(sorted(unsigned_by))}.")
    try:
        return Accepted(Event.from_pdu(with_valid_hash(pdu, rules), rules))
    except ValueError as error:
        return Dropped(str(error))


def check_against_auth_events(event: Event, create: Event | None) -> Checks:
    """Check an event against those that it names; all that can be checked of an outlier."""
    if event.type == "m.room.create":
        denied = authorize(event, {})
        return Accepted(event) if denied is None else Rejected(event, denied.reason)
    found, rejected = yield NeedAuthEvents(event)
    missing = set(event.auth_events) - found.keys()
    if missing:
        return Rejected(event, f"Of its auth events nobody has {', '.join(sorted(missing))}.")
    auth_events = [found[event_id] for event_id in event.auth_events]
    denied = authorize_by_auth_events(event, auth_events, create=create, rejected=rejected)
    return Accepted(event) if denied is None else Rejected(event, f"By its auth events: {denied.reason}")
