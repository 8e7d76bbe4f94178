"""The frames that clients send most, read without the detour by autobahn: small, whole, and pure ASCII.

Spec: https://www.rfc-editor.org/rfc/rfc6455#section-5.2
"""

__all__ = ["whole_text"]

_FINAL_TEXT = 0x81
_MASKED = 0x80
_TWO_BYTES = 126
_HEADER_BYTES = 6
_LONGER_HEADER_BYTES = 8


def whole_text(data: bytes) -> bytes | None:
    """The payload, if bytes from a client are exactly one text message in one frame, and that is ASCII.

    None if they are anything else, also if they are wrong: that is for those to say who read all frames.
    """
    size = len(data)
    if size <= _HEADER_BYTES or data[0] != _FINAL_TEXT or not data[1] & _MASKED:
        return None
    length, start = data[1] & 0x7F, _HEADER_BYTES
    if length == _TWO_BYTES:
        length, start = int.from_bytes(data[2:4], "big"), _LONGER_HEADER_BYTES
        if length < _TWO_BYTES:
            return None
    elif length > _TWO_BYTES:
        return None
    if not length or size != start + length:
        return None
    mask = data[start - 4 : start] * (length // 4 + 1)
    masked = int.from_bytes(data[start:], "big") ^ int.from_bytes(mask[:length], "big")
    payload = masked.to_bytes(length, "big")
    return payload if payload.isascii() else None
