"""Redaction: what is left of an event when all that is not needed for the room to work is taken away.

Spec: https://spec.matrix.org/v1.19/client-server-api/#redactions
"""

from collections.abc import Mapping
from typing import Any

from homeserver.core.room_versions import RoomVersionRules

__all__ = ["redact"]

_NO_KEYS: frozenset[str] = frozenset()


def redact(pdu: Mapping[str, Any], rules: RoomVersionRules) -> dict[str, Any]:
    """Return the redacted copy of a PDU, without `unsigned`; nested values are shared, not copied."""
    redaction = rules.redaction
    top_level = redaction.top_level
    redacted = {key: value for key, value in pdu.items() if key in top_level}
    content = pdu.get("content")
    if not isinstance(content, dict):
        redacted["content"] = {}
        return redacted
    kept = redaction.content.get(pdu.get("type", ""), _NO_KEYS)
    if kept is None:
        return redacted
    redacted["content"] = {key: content[key] for key in kept if key in content} if content else {}
    if redaction.member_third_party_invite_signed and pdu.get("type") == "m.room.member":
        third_party_invite = content.get("third_party_invite")
        if isinstance(third_party_invite, dict) and "signed" in third_party_invite:
            redacted["content"]["third_party_invite"] = {"signed": third_party_invite["signed"]}
    return redacted
