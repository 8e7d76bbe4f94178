"""Verifies what servers signed: events, and requests.

Spec: https://spec.matrix.org/v1.19/server-server-api/#validating-hashes-and-signatures-on-received-events
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from federation.known_keys import KnownKeys
from homeserver.core.room_versions import RoomVersionRules
from homeserver.core.server_keys import VALIDITY_MS_MAX, VerifyKey
from homeserver.core.signing import decode_base64, signed_bytes_of, verify_bytes
from homeserver.runtime.clock import Clock

__all__ = ["KeyRing", "Signed"]

SIGNATURES_PER_SERVER_MAX = 10
"""No more are looked at of what a server is said to have signed an event with."""

EVENTS_PER_STEP_MAX = 100
"""Verified in a thread before the event loop gets a word in."""

RENEWED_BEFORE_MS = 1_800_000
"""How long before the end of a key its server is asked again, if it goes on making requests."""

Signed = tuple[Mapping[str, Any], Collection[str]]
"""A PDU, and the servers that should have signed it."""

Keys = Mapping[str, Mapping[str, VerifyKey]]


@dataclass(frozen=True, slots=True)
class _Claim:
    """What one server is said to have signed.

    Attributes:
        signatures: by key ID.
        until_ms: when the keys must be valid; 0: it does not matter.
    """

    signatures: Mapping[str, bytes]
    until_ms: int

    def is_proven(self, message: bytes, keys: Mapping[str, VerifyKey]) -> bool:
        """Whether one of the signatures is valid."""
        return any(
            key_id in keys
            and self.until_ms <= keys[key_id].valid_until_ms
            and verify_bytes(message, signature, keys[key_id].public_key)
            for key_id, signature in self.signatures.items()
        )


class KeyRing:
    """Verifies signatures of servers with the keys that these publish.

    Args:
        known: the keys.
        clock: tells the time.
    """

    def __init__(self, *, known: KnownKeys, clock: Clock) -> None:
        self._known = known
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "signatures")

    async def close(self) -> None:
        """Verify nothing any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        await self._known.close()

    async def missing_on(
        self, pdu: Mapping[str, Any], rules: RoomVersionRules, signers: Collection[str]
    ) -> set[str]:
        """Those of the servers whose valid signature the PDU does not carry.

        Raises:
            Unavailable: too many servers are to be asked for their keys just now, or storage does not answer.
        """
        claims = _claims(pdu, rules, signers)
        keys = {}
        for name, claim in claims.items():
            keys[name] = await self._known.keys_of(name, self._wanted(claim))
        return _missing(pdu, rules, signers, keys)

    async def missing_on_each(self, several: Sequence[Signed], rules: RoomVersionRules) -> list[set[str]]:
        """The same for many PDUs of one room version, in their order, beside the event loop.

        Raises:
            Unavailable: storage does not answer.
        """
        wanted: dict[str, dict[str, int]] = {}
        for pdu, signers in several:
            for name, claim in _claims(pdu, rules, signers).items():
                latest = wanted.setdefault(name, {})
                for key_id, until_ms in self._wanted(claim).items():
                    latest[key_id] = max(latest.get(key_id, 0), until_ms)
        await self._known.prepare(wanted)
        keys = {name: self._known.at_hand(name) for name in wanted}
        loop, rest = asyncio.get_running_loop(), iter(several)
        missing: list[set[str]] = []
        while some := list(islice(rest, EVENTS_PER_STEP_MAX)):
            missing += await loop.run_in_executor(self._thread, _missing_on_each, some, rules, keys)
        return missing

    async def verify_request(self, origin: str, key_id: str, signed: bytes, signature: bytes) -> bool | None:
        """Whether a server signed a request with one of its present keys; None: the key cannot be had.

        Args:
            origin: the server that is said to have signed.
            key_id: names the key.
            signed: what was signed.
            signature: of that.

        Raises:
            Unavailable: too many servers are to be asked for their keys just now, or storage does not answer.
        """
        now_ms = self._clock.now_ms()
        key = self._known.at_hand(origin).get(key_id)
        if key is None or key.valid_until_ms < now_ms:
            key = (await self._known.keys_of(origin, {key_id: now_ms}, is_awake=True)).get(key_id)
        if key is None or key.valid_until_ms < now_ms or key.is_old:
            return None
        if key.valid_until_ms < now_ms + RENEWED_BEFORE_MS:
            self._known.renew(origin)
        return verify_bytes(signed, signature, key.public_key)

    def _wanted(self, claim: _Claim) -> dict[str, int]:
        # No server can make its keys valid for longer, so it would be asked in vain.
        until_ms = min(claim.until_ms, self._clock.now_ms() + VALIDITY_MS_MAX)
        return dict.fromkeys(claim.signatures, until_ms)


def _missing_on_each(several: Iterable[Signed], rules: RoomVersionRules, keys: Keys) -> list[set[str]]:
    return [_missing(pdu, rules, signers, keys) for pdu, signers in several]


def _missing(
    pdu: Mapping[str, Any], rules: RoomVersionRules, signers: Collection[str], keys: Keys
) -> set[str]:
    try:
        message = signed_bytes_of(pdu, rules)
    except (ValueError, TypeError, AttributeError):
        return set(signers)
    claims = _claims(pdu, rules, signers)
    return {
        name
        for name in signers
        if name not in claims or not claims[name].is_proven(message, keys.get(name, {}))
    }


def _claims(
    pdu: Mapping[str, Any], rules: RoomVersionRules, signers: Collection[str]
) -> dict[str, _Claim]:
    """What the PDU has of signatures of the servers that should have signed it."""
    signatures = pdu.get("signatures")
    if not isinstance(signatures, dict):
        return {}
    sent_ms = pdu.get("origin_server_ts") if rules.enforce_key_validity else 0
    until_ms = sent_ms if isinstance(sent_ms, int) else 0
    claims = {}
    for name in signers:
        of_server = signatures.get(name)
        decoded = _decoded(of_server) if isinstance(of_server, dict) else {}
        if decoded:
            claims[name] = _Claim(decoded, until_ms)
    return claims


def _decoded(signatures: Mapping[str, Any]) -> dict[str, bytes]:
    decoded = {}
    for key_id, text in islice(signatures.items(), SIGNATURES_PER_SERVER_MAX):
        if key_id.startswith("ed25519:") and isinstance(text, str):
            try:
                decoded[key_id] = decode_base64(text)
            except ValueError:
                continue
    return decoded
