"""What autobahn keeps of each connection, reduced to what differs from one to the next.

It copies all options into every connection, keeps what the handshake said, and notes of everything that can
go wrong that it has not: 80 names, for which a dictionary takes 3 KiB. Of a connection that is open its class
can tell nearly all of that.
"""

from typing import Any

__all__ = ["AT_REST", "settled", "shed"]

AT_REST: dict[str, object] = {
    **dict.fromkeys((
        "closedByMe", "droppedByMe", "failedByMe", "triggered", "wasClean", "wasCloseHandshakeTimeout",
        "wasMaxFramePayloadSizeExceeded", "wasMaxMessagePayloadSizeExceeded", "wasOpenHandshakeTimeout",
        "wasServingFlashSocketPolicyFile",
    ), False),
    **dict.fromkeys((
        "_perMessageCompress", "autoPingPending", "autoPingPendingSent", "autoPingTimeoutCall",
        "closeHandshakeTimeoutCall", "localCloseCode", "localCloseReason", "openHandshakeTimeoutCall",
        "remoteCloseCode", "remoteCloseReason", "trackedTimings", "wasNotCleanReason",
    ), None),
}  # fmt: skip
"""How a connection is to which nothing has happened."""

_OF_HANDSHAKE = frozenset({
    "_access_token", "_client_address", "_results", "_transport_details", "_valid_events", "_wskey",
    "http_headers", "http_request_data", "http_request_host", "http_request_params", "http_request_path",
    "http_request_uri", "http_response_data", "http_status_line", "websocket_extensions",
    "websocket_extensions_in_use", "websocket_origin", "websocket_protocol_in_use", "websocket_protocols",
})  # fmt: skip
"""Nobody asks for these once a connection is open; events and results are of a way to listen that we lack."""

_NOTHING = object()


def settled(protocol: type[Any], options: dict[str, object]) -> type[Any]:
    """Derive a class that says what connections have in common: these options, and `AT_REST`."""
    return type(protocol.__name__, (protocol,), {**options, **AT_REST})


def shed(protocol: object) -> None:
    """Forget what is not needed any more, and what the class says just as well."""
    protocol.__dict__ = {
        name: value
        for name, value in vars(protocol).items()
        if name not in _OF_HANDSHAKE and AT_REST.get(name, _NOTHING) is not value
    }
