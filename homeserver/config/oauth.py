"""The section of the configuration on OAuth 2.0."""

from dataclasses import dataclass

from homeserver.config.keys import between, key

__all__ = ["OAuthSection"]


@dataclass(frozen=True, slots=True)
class OAuthSection:
    """OAuth 2.0: people sign in on web pages of this server. Passwords in clients work all the same."""

    enabled: bool = key(default=True, meaning="false: only the login API, and no pages")
    clients_max: int = key(
        10_000, "clients kept; then the one unused for longest goes", check=between(1, 1_000_000)
    )
    client_unused_ms_max: int = key(
        604_800_000, "how long a client without a session is kept", check=between(600_000, 31_536_000_000)
    )
