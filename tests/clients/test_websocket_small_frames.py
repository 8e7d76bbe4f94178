"""The short way for small frames: what it reads, it reads as autobahn does; the rest it leaves alone."""

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clients.websocket.small_frames import whole_text


def frame(payload, mask=b"\x01\x02\x03\x04", first=0x81, masked=0x80, length=None):
    size = len(payload)
    if length is None:
        length = bytes((masked | size,)) if size < 126 else bytes((masked | 126,)) + struct.pack(">H", size)
    masked_bytes = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes((first,)) + length + mask + masked_bytes


@given(st.text(st.characters(codec="ascii"), min_size=1, max_size=2_000), st.binary(min_size=4, max_size=4))
@example("x" * 125, b"mask")
@example("x" * 126, b"mask")
@example("x" * 65_535, b"\0\0\0\0")
def test_a_small_frame_is_read(text, mask):
    assert whole_text(frame(text.encode(), mask)) == text.encode()


@given(st.binary(max_size=200))
def test_no_bytes_are_too_wild(data):
    text = whole_text(data)
    assert text is None or (text.isascii() and len(text) < len(data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        frame(b"hello")[:-1],
        frame(b"hello") + b"\x81",
        frame(b"hello") + frame(b"hello"),
        frame(b""),
        frame("grüße".encode()),
        frame(b"hello", first=0x01),
        frame(b"hello", first=0x82),
        frame(b"hello", first=0x88),
        frame(b"hello", first=0xC1),
        frame(b"hello", masked=0),
        frame(b"hello", length=b"\xfe\0\x05"),
        frame(b"hello", length=b"\xff" + bytes(7) + b"\x05"),
    ],
    ids=[
        "nothing", "a part", "more than one", "two", "an empty one", "not ASCII", "not final", "binary",
        "a close", "reserved bits", "not masked", "a longer length than need be", "eight bytes of length",
    ],
)  # fmt: skip
def test_all_else_is_left_to_autobahn(data):
    assert whole_text(data) is None
