"""What an operator can say about other Matrix servers."""

from dataclasses import dataclass

from homeserver.config import checks
from homeserver.config.keys import between, key

__all__ = ["FederationSection"]


@dataclass(frozen=True, slots=True)
class FederationSection:
    """Other Matrix servers."""

    enabled: bool = key(default=True, meaning="false: this server speaks with no other")
    allowed_servers: tuple[str, ...] = key(
        (), "the only servers to speak with; none: all", example=("example.com",), check=checks.server_names
    )
    denied_servers: tuple[str, ...] = key(
        (), "servers not to speak with", example=("example.com",), check=checks.server_names
    )
    trusted_key_servers: tuple[str, ...] = key(
        (), "servers whose word is taken for the signing keys of others that do not answer",
        example=("matrix.org",), check=checks.server_names,
    )  # fmt: skip
    public_address: str = key(
        "", "host:port where other servers reach this one, told in .well-known; empty: not told",
        example="matrix.example.org:443", check=checks.server_name_or_empty,
    )  # fmt: skip
    key_lifetime_ms: int = key(
        86_400_000, "how long others may trust a published signing key before they ask again",
        check=between(3_600_000, 604_800_000),
    )  # fmt: skip
