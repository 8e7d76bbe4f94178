"""What an OpenID Connect provider publishes: its metadata and its keys; fetched when needed, and kept.

Spec: OpenID Connect Discovery 1.0, section 4, and RFC 7517
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from homeserver.accounts.ports import OutgoingRequests
from homeserver.core.errors import Unavailable
from homeserver.core.oauth.provider_metadata import (
    MetadataError,
    ProviderMetadata,
    discovery_url,
    parse_metadata,
)
from homeserver.runtime.clock import Clock

__all__ = ["KEPT_MS", "ProviderDocuments", "SigningKey"]

KEPT_MS = 3_600_000
"""After so long a document is fetched anew: keys that a provider has withdrawn are good no longer."""
KEYS_AGAIN_MS_MIN = 30_000
"""Because a token names an unknown key, keys are not fetched again sooner."""
FAILURE_KEPT_MS = 5_000
"""A provider that does not answer is not asked again sooner: nobody waits for it behind somebody else."""

_KEYS_MAX = 100
_RSA_BITS_MIN = 2_048
_KINDS: Mapping[str, Any] = {"RSA": RSAKey, "EC": ECKey}
_KIND_OF = {"R": "RSA", "P": "RSA", "E": "EC"}

SigningKey = RSAKey | ECKey


class ProviderDocuments:
    """Fetches and keeps them.

    Args:
        outgoing: asks the provider.
        clock: ages what is kept.
        issuer: of the provider.
        known: its endpoints, where the configuration names them; None: they are discovered.
        name: of the provider, for people.
    """

    def __init__(
        self,
        *,
        outgoing: OutgoingRequests,
        clock: Clock,
        issuer: str,
        known: ProviderMetadata | None,
        name: str,
    ) -> None:
        self._outgoing = outgoing
        self._clock = clock
        self._issuer = issuer
        self._known = known
        self._name = name
        self._lock = asyncio.Lock()
        self._metadata: tuple[int, ProviderMetadata] | None = None
        self._keys: tuple[int, Sequence[SigningKey]] | None = None
        self._again_ms: int | None = None
        self._failed_ms: int | None = None

    async def metadata(self) -> ProviderMetadata:
        """Where the provider's endpoints are.

        Raises:
            MetadataError: what it says of itself cannot be used.
            Unavailable: it does not answer.
        """
        if self._known is not None:
            return self._known
        async with self._lock:
            kept, now_ms = self._metadata, self._clock.monotonic_ms()
            if kept is not None and now_ms - kept[0] < KEPT_MS:
                return kept[1]
            made = parse_metadata(await self._fetch(discovery_url(self._issuer)), self._issuer)
            self._metadata = (now_ms, made)
            return made

    async def key(self, key_id: str | None, algorithm: str) -> SigningKey | None:
        """The key that a signature names; None if the provider has no such key.

        Args:
            key_id: `kid`; None: there is only one that it can be.
            algorithm: of the signature.

        Raises:
            MetadataError: what the provider publishes cannot be used.
            Unavailable: it does not answer.
        """
        jwks_uri = (await self.metadata()).jwks_uri
        async with self._lock:
            kept, now_ms = self._keys, self._clock.monotonic_ms()
            if kept is not None and now_ms - kept[0] < KEPT_MS:
                found = _choose(kept[1], key_id, algorithm)
                again_ms = self._again_ms
                if found is not None or (again_ms is not None and now_ms - again_ms < KEYS_AGAIN_MS_MIN):
                    return found
                self._again_ms = now_ms
            keys = _keys_of(await self._fetch(jwks_uri))
            self._keys = (now_ms, keys)
            return _choose(keys, key_id, algorithm)

    async def _fetch(self, url: str) -> Any:
        now_ms = self._clock.monotonic_ms()
        if self._failed_ms is not None and now_ms - self._failed_ms < FAILURE_KEPT_MS:
            raise Unavailable(f"{self._name} does not answer; try again later.")
        try:
            status, body = await self._outgoing.get(url, {"Accept": "application/json"})
        except Unavailable:
            self._failed_ms = self._clock.monotonic_ms()
            raise Unavailable(f"{self._name} does not answer; try again later.") from None
        if status != 200:
            self._failed_ms = self._clock.monotonic_ms()
            raise Unavailable(f"{self._name} is out of order; try again later.")
        self._failed_ms = None
        try:
            return orjson.loads(body)
        except ValueError:
            raise MetadataError(f"{url} is no JSON") from None


def _keys_of(document: Any) -> list[SigningKey]:
    """Those of a set that can have signed something; what is of another kind is passed over."""
    listed = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(listed, list):
        raise MetadataError("the provider's keys are no JSON Web Key Set")
    keys = []
    for one in listed[:_KEYS_MAX]:
        kind = _KINDS.get(one["kty"]) if isinstance(one, dict) and isinstance(one.get("kty"), str) else None
        if kind is None or one.get("use", "sig") != "sig":
            continue
        try:
            key = kind.import_key(one)
            is_strong = kind is not RSAKey or key.raw_value.key_size >= _RSA_BITS_MIN
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            continue
        if is_strong:
            keys.append(key)
    return keys


def _choose(keys: Sequence[SigningKey], key_id: str | None, algorithm: str) -> SigningKey | None:
    fitting = [
        key
        for key in keys
        if key.key_type == _KIND_OF[algorithm[0]] and key.get("alg") in {None, algorithm}
        if key_id is None or key.get("kid") == key_id
    ]
    return fitting[0] if len(fitting) == 1 else None
