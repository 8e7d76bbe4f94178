"""What changes from one poll of a client to the next: the token, and nothing else.

Clients send the same request over and over, with the `since` that the answer before it gave them. So what is
around the token is a name for all the rest: whose session it is, by which filter, for how long.
"""

__all__ = ["PATH", "Asked", "taken_apart"]

PATH = "/_matrix/client/v3/sync"
HEAD_BYTES_MAX = 4_096

_BEGINNING = f"GET {PATH}?".encode()
_NAME = b"since="

Asked = tuple[bytes, str]
"""All but the token, and the token."""


def taken_apart(head: bytes) -> Asked | None:
    """Take the head of a request apart; None if it is no sync with a token, or not of the usual form."""
    if not head.startswith(_BEGINNING) or len(head) > HEAD_BYTES_MAX:
        return None
    line_end = head.find(b"\r\n")
    start = head.find(_NAME, len(_BEGINNING) - 1, line_end)
    if start < 0 or head[start - 1] not in b"?&":
        return None
    start += len(_NAME)
    end = head.find(b"&", start, line_end)
    if end < 0:
        end = head.find(b" ", start, line_end)
    token = head[start:end]
    if end < 0 or not token.isascii() or b"%" in token or head.find(_NAME, end, line_end) >= 0:
        return None
    return b"%b\n%b" % (head[:start], head[end:]), token.decode()
