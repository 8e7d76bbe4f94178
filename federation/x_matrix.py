"""The `Authorization` header of requests between servers, taken apart strictly.

Spec: https://spec.matrix.org/v1.19/server-server-api/#request-authentication
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from homeserver.core.errors import Unauthorized
from homeserver.core.identifiers import is_valid_server_name
from homeserver.core.signing import decode_base64

__all__ = ["XMatrix", "parse_x_matrix"]

HEADER_CHARACTERS_MAX = 4_096
PARAMETERS_MAX = 20
_SIGNATURE_BYTES = 64
_SIGNATURE_CHARACTERS_MAX = 88

_SCHEME = re.compile(r"x-matrix +", re.IGNORECASE)
# COMPAT: colons need quotes by RFC 9110, but older servers send key IDs and ports without.
_PARAMETER = re.compile(
    r"""([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*"""
    r"""(?:"((?:[\t !\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*)\""""
    r"""|([!#$%&'*+.^_`|~0-9A-Za-z:-]+))"""
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_COMMAS = re.compile(r"[ \t]*,[ \t,]*")
_END = re.compile(r"[ \t]*\Z")
_KEY_ID = re.compile(r"ed25519:[a-zA-Z0-9_.-]{1,128}")


@dataclass(frozen=True, slots=True)
class XMatrix:
    """What the header says.

    Attributes:
        origin: the name of the server that says that it asks.
        destination: the name of the server that it asks; None: older servers do not say.
        key_id: of the key that it signed with.
        signature: 64 bytes.
    """

    origin: str
    destination: str | None
    key_id: str
    signature: bytes


def parse_x_matrix(header: str) -> XMatrix:
    """Take the header apart.

    Raises:
        Unauthorized: it is not as the specification has it; says why.
    """
    if len(header) > HEADER_CHARACTERS_MAX:
        raise _refused(f"has at most {HEADER_CHARACTERS_MAX} characters")
    scheme = _SCHEME.match(header)
    if scheme is None:
        raise _refused("begins with X-Matrix and a space")
    found: dict[str, str] = {}
    for name, value in _parameters(header, scheme.end()):
        if name in found:
            raise _refused(f"says {name} once")
        if len(found) >= PARAMETERS_MAX:
            raise _refused(f"has at most {PARAMETERS_MAX} parameters")
        found[name] = value
    return _checked(found)


def _parameters(header: str, position: int) -> Iterator[tuple[str, str]]:
    while True:
        parameter = _PARAMETER.match(header, position)
        if parameter is None:
            raise _refused("is a list of name=value, with quotes where they are needed")
        name, quoted, token = parameter.groups()
        yield name.lower(), token if quoted is None else _ESCAPED.sub(r"\1", quoted)
        position = parameter.end()
        if _END.match(header, position):
            return
        commas = _COMMAS.match(header, position)
        if commas is None:
            raise _refused("has a comma between its parameters")
        position = commas.end()
        if position == len(header):
            return


def _checked(found: dict[str, str]) -> XMatrix:
    for name in ("origin", "key", "sig"):
        if name not in found:
            raise _refused(f"has the parameter {name}")
    if not is_valid_server_name(found["origin"]):
        raise _refused("names a server as origin")
    if not _KEY_ID.fullmatch(found["key"]):
        raise _refused("names an Ed25519 key, as ed25519:version")
    return XMatrix(found["origin"], found.get("destination"), found["key"], _signature(found["sig"]))


def _signature(text: str) -> bytes:
    try:
        signature = decode_base64(text) if len(text) <= _SIGNATURE_CHARACTERS_MAX else b""
    except ValueError:
        signature = b""
    if len(signature) != _SIGNATURE_BYTES:
        raise _refused(f"has a signature of {_SIGNATURE_BYTES} bytes in base64")
    return signature


def _refused(rule: str) -> Unauthorized:
    return Unauthorized(f"The Authorization header of a request to a server {rule}.")
