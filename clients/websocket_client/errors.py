"""What can go wrong for whoever uses the client; all of it is a `ClientError`."""

from typing import Any

__all__ = [
    "ClientClosed", "ClientError", "ConnectionLost", "DeadlineExceeded", "ProtocolViolated", "Refused",
    "StreamReplaced",
]  # fmt: skip


class ClientError(Exception):
    """The root of all that this package raises."""


class Refused(ClientError):
    """The server answered with an error of the specification.

    Attributes:
        errcode: such as `M_FORBIDDEN`; empty if the answer had none.
        status: the HTTP status; None if it was no request but the sync stream that was refused.
        body: the whole of the error's body.

    Spec: https://spec.matrix.org/v1.19/client-server-api/#standard-error-response
    """

    def __init__(self, status: int | None, body: Any) -> None:
        fields = body if isinstance(body, dict) else {}
        self.errcode = str(fields.get("errcode", ""))
        self.status = status
        self.body: Any = body
        text = fields.get("error", "")
        super().__init__(f"{status or 'sync stream'} {self.errcode}: {text}")

    @property
    def retry_after_s(self) -> float | None:
        """How long the server asks to wait before the same is tried again, if it says so."""
        after_ms = self.body.get("retry_after_ms") if isinstance(self.body, dict) else None
        return after_ms / 1000 if isinstance(after_ms, int | float) else None


class ConnectionLost(ClientError, ConnectionError):
    """There is no connection, or it ended before the answer came: the request may have been done or not.

    Attributes:
        code: the close code, if the server gave one.
    """

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(reason)
        self.code = code


class DeadlineExceeded(ClientError, TimeoutError):
    """The answer did not come in time: the request may have been done or not."""


class ProtocolViolated(ClientError):
    """One of both ends does not keep to the protocol; the client has given up."""


class ClientClosed(ClientError):
    """The client was closed, or not yet opened."""


class StreamReplaced(ClientError):
    """Another sync stream was started, or this one was closed; there is one at a time."""
