"""The form of a PDU: the first three of the checks on receipt of a PDU, which need nothing but the PDU.

Spec: https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu

In order: `check_format`; then the signatures of `required_signers`; then `with_valid_hash`.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from homeserver.core.canonical_json import CANONICAL_INTEGER_MAX, check_canonical
from homeserver.core.errors import TooLarge
from homeserver.core.event.size import check_key_sizes, check_size
from homeserver.core.identifiers import IDENTIFIER_BYTES_MAX, parse_event_id, parse_room_id, parse_user_id
from homeserver.core.pdu_verdicts import Dropped
from homeserver.core.redaction import redact
from homeserver.core.room_versions import EventIdFormat, RoomVersionRules
from homeserver.core.signing import content_hash, decode_base64, encode_for_rules

__all__ = [
    "AUTH_EVENTS_MAX", "PREV_EVENTS_MAX", "check_format", "required_signers", "with_valid_hash",
]  # fmt: skip

PREV_EVENTS_MAX = 20
AUTH_EVENTS_MAX = 10
_LENIENT_INTEGER_MAX = 2**63 - 1


class _FormatError(ValueError):
    """Someone else's mistake; never leaves this module."""


def check_format(pdu: Any, rules: RoomVersionRules) -> Dropped | None:
    """Check that a parsed PDU keeps the event format of its room version; None if it does."""
    if not isinstance(pdu, dict):
        return Dropped("The event is not a JSON object.")
    try:
        _check_types(pdu)
        _check_texts(pdu)
        _check_integers(pdu, rules)
        check_key_sizes(pdu)
        _check_identifiers(pdu, rules)
        _check_references(pdu, "prev_events", PREV_EVENTS_MAX, rules)
        _check_references(pdu, "auth_events", AUTH_EVENTS_MAX, rules)
        _check_signed(pdu)
        signed = {key: value for key, value in pdu.items() if key != "unsigned"}
        if rules.strict_canonical_json:
            check_canonical(signed)
        check_size(encode_for_rules(signed, rules))
    except (ValueError, TooLarge) as error:
        return Dropped(str(error))
    return None


def _check_types(pdu: Mapping[str, Any]) -> None:
    for key in ("type", "sender"):
        if not isinstance(pdu.get(key), str):
            raise _FormatError(f"The event's {key} is not a string.")
    for key in ("state_key", "room_id", "event_id", "redacts"):
        if key == "redacts" and pdu["type"] != "m.room.redaction":
            continue
        if key in pdu and not isinstance(pdu[key], str):
            raise _FormatError(f"The event's {key} is not a string.")
    for key in ("content", "hashes", "signatures"):
        if not isinstance(pdu.get(key), dict):
            raise _FormatError(f"The event's {key} is not an object.")
    if not isinstance(pdu.get("unsigned", {}), dict):
        raise _FormatError("The event's unsigned is not an object.")


def _check_texts(pdu: Mapping[str, Any]) -> None:
    for key in ("type", "state_key"):
        if "\0" in pdu.get(key, ""):  # NOTSPEC: nobody needs it, and PostgreSQL has no text with it
            raise _FormatError(f"The event's {key} holds NUL.")


def _check_integers(pdu: Mapping[str, Any], rules: RoomVersionRules) -> None:
    maximum = CANONICAL_INTEGER_MAX if rules.strict_canonical_json else _LENIENT_INTEGER_MAX
    for key in ("depth", "origin_server_ts"):
        value = pdu.get(key)
        if type(value) is not int:
            raise _FormatError(f"The event's {key} is not an integer.")
        if abs(value) > maximum or (key == "depth" and value < 0):
            raise _FormatError(f"The event's {key} is out of range.")


def _check_identifiers(pdu: Mapping[str, Any], rules: RoomVersionRules) -> None:
    parse_user_id(pdu["sender"])
    room_id = pdu.get("room_id")
    if room_id is not None:
        # The create event of a room that is named after it must have no room ID: authorization says so.
        parse_room_id(room_id)
    elif not (
        rules.room_id_is_create_event_id and pdu["type"] == "m.room.create" and pdu.get("state_key") == ""
    ):
        raise _FormatError("The event has no room_id.")
    if rules.event_id_format is EventIdFormat.DOMAIN:
        event_id = pdu.get("event_id")
        if event_id is None or parse_event_id(event_id).server_name is None:
            raise _FormatError("The event has no event_id with a server name.")


def _check_references(pdu: Mapping[str, Any], key: str, count_max: int, rules: RoomVersionRules) -> None:
    references = pdu.get(key)
    if not isinstance(references, list):
        raise _FormatError(f"The event's {key} is not an array.")
    if len(references) > count_max:
        raise _FormatError(f"The event has {len(references)} {key}; at most {count_max} are allowed.")
    for reference in references:
        if rules.event_references_are_pairs:
            good = (
                isinstance(reference, list)
                and len(reference) == 2
                and _could_be_event_id(reference[0])
                and isinstance(reference[1], dict)
            )
        else:
            good = _could_be_event_id(reference)
        if not good:
            raise _FormatError(f"The event's {key} hold something that refers to no event.")


def _could_be_event_id(text: Any) -> bool:
    return isinstance(text, str) and len(text) <= IDENTIFIER_BYTES_MAX and "\0" not in text


def _check_signed(pdu: Mapping[str, Any]) -> None:
    for signatures in pdu["signatures"].values():
        if not isinstance(signatures, dict) or not all(isinstance(text, str) for text in signatures.values()):
            raise _FormatError("The event's signatures are not objects of strings.")
    if not isinstance(pdu["hashes"].get("sha256"), str):
        raise _FormatError("The event has no sha256 among its hashes.")


def required_signers(pdu: Mapping[str, Any], rules: RoomVersionRules) -> set[str]:
    """Name the servers that must have signed a PDU whose format is right.

    The signature that `join_authorised_via_users_server` asks for is a matter of authorization, but of no
    other event than the PDU, so it is named here as well.
    """
    signers = set()
    content = pdu["content"]
    is_member = pdu["type"] == "m.room.member"
    if not (is_member and content.get("membership") == "invite" and "third_party_invite" in content):
        signers.add(parse_user_id(pdu["sender"]).server_name)
    if rules.event_id_format is EventIdFormat.DOMAIN:
        server_name = parse_event_id(pdu["event_id"]).server_name
        assert server_name is not None, "check_format has passed"
        signers.add(server_name)
    if rules.authorization.restricted_join_rule and is_member and content.get("membership") == "join":
        authoriser = content.get("join_authorised_via_users_server")
        if isinstance(authoriser, str):
            with suppress(ValueError):  # no server to ask: authorization rejects the event
                signers.add(parse_user_id(authoriser).server_name)
    return signers


def with_valid_hash(pdu: dict[str, Any], rules: RoomVersionRules) -> dict[str, Any]:
    """Return the PDU if its content hash is right, else its redacted copy, which the signatures cover."""
    try:
        claimed = decode_base64(pdu["hashes"]["sha256"])
    except ValueError:
        return redact(pdu, rules)
    if claimed == decode_base64(content_hash(pdu, rules)):
        return pdu
    return redact(pdu, rules)
