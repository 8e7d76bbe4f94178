"""The rule of event authorization for invitations of people known only by address.

Spec: rule 5.4.1 of https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from homeserver.core.auth.denied import Denied
from homeserver.core.auth.selection import StateKey
from homeserver.core.content.member import BAN, third_party_signed_of
from homeserver.core.event.pdu import Event
from homeserver.core.signing import decode_base64, verify_json

__all__ = ["VERIFICATIONS_MAX", "check_third_party_invite"]

VERIFICATIONS_MAX = 128
"""NOTSPEC: how often a signature is tried with a key, since an event could hold enough for minutes."""


def check_third_party_invite(  # noqa: PLR0911 - one return for each rule, in the order of the spec
    event: Event, state: Mapping[StateKey, Event], target_was: str
) -> Denied | None:
    """Check an invitation that redeems an `m.room.third_party_invite`."""
    if target_was == BAN:
        return Denied(f"{event.state_key} is banned from the room.")
    signed = third_party_signed_of(event.content)
    if signed is None:
        return Denied("The third-party invitation is not signed.")
    mxid, token = signed.get("mxid"), signed.get("token")
    if not isinstance(mxid, str) or not isinstance(token, str):
        return Denied("The third-party invitation lacks the user or the token.")
    if mxid != event.state_key:
        return Denied("The third-party invitation is for another user.")
    invite = state.get(("m.room.third_party_invite", token))
    if invite is None:
        return Denied("There is no such third-party invitation in the room.")
    if invite.sender != event.sender:
        return Denied("Somebody else made the third-party invitation.")
    if not _is_signed(signed, invite.content):
        return Denied("No key of the third-party invitation has signed it.")
    return None


def _is_signed(signed: Mapping[str, Any], content: Mapping[str, Any]) -> bool:
    keys = tuple(islice(_public_keys(content), VERIFICATIONS_MAX))
    attempts = ((server_name, key_id, key) for server_name, key_id in _signatures(signed) for key in keys)
    return any(verify_json(signed, *attempt) for attempt in islice(attempts, VERIFICATIONS_MAX))


def _signatures(signed: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    signatures = signed.get("signatures")
    for server_name, of_server in signatures.items() if isinstance(signatures, dict) else ():
        for key_id in of_server if isinstance(of_server, dict) else ():
            if key_id.startswith("ed25519:"):
                yield server_name, key_id


def _public_keys(content: Mapping[str, Any]) -> Iterator[bytes]:
    texts = [content.get("public_key")]
    public_keys = content.get("public_keys")
    if isinstance(public_keys, list):
        texts += [entry.get("public_key") for entry in public_keys if isinstance(entry, dict)]
    for text in texts:
        if isinstance(text, str):
            try:
                yield decode_base64(text)
            except ValueError:
                continue
