"""Errors of OAuth 2.0, which are told in its own form: `error` and `error_description`.

Spec: https://spec.matrix.org/v1.19/client-server-api/#oauth-20-api and RFC 6749, section 5.2
"""

from typing import Any

from homeserver.core.errors import MatrixError

__all__ = ["InvalidClient", "OAuthError"]


class OAuthError(MatrixError):
    """What an OAuth 2.0 client is told.

    Args:
        code: one that an RFC names, such as `invalid_grant`.
        description: a sentence for whoever wrote the client, in ASCII as the RFC wants it.
    """

    status = 400

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code

    def body(self) -> dict[str, Any]:
        """The JSON object that the client is told."""
        return {"error": self.code, "error_description": self.error}


class InvalidClient(OAuthError):
    """The client is not registered here."""

    status = 401

    def __init__(self, description: str = "There is no such client; register it again.") -> None:
        super().__init__("invalid_client", description)
