"""Writing past the reactor: everything arrives, in order, whatever the socket takes at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.tcp import Connection
from twisted.internet.testing import StringTransport

from homeserver.http.write import DirectWriter


class Socket:
    """Takes a few bytes each time; an exception in their stead is raised."""

    def __init__(self):
        self.takes = []
        self.taken = b""
        self.asked = 0

    def send(self, data):
        self.asked += 1
        takes = self.takes.pop(0) if self.takes else len(data)
        if isinstance(takes, OSError):
            raise takes
        self.taken += data[:takes]
        return min(takes, len(data))


class Transport(Connection):
    """The part of Twisted's that is looked at, without a reactor."""

    def __init__(self):
        self.socket = Socket()
        self.dataBuffer = b""
        self._tempDataBuffer = []

    def write(self, data):
        self._tempDataBuffer.append(data)

    def drain(self):
        """The socket has become writable."""
        self.socket.taken += self.dataBuffer + b"".join(self._tempDataBuffer)
        self.dataBuffer, self._tempDataBuffer = b"", []


@pytest.fixture
def transport():
    return Transport()


def test_what_the_socket_takes_is_written_at_once(transport):
    writer = DirectWriter(transport)
    writer.write(b"first")
    writer.write(b"second")

    assert transport.socket.taken == b"firstsecond"


@pytest.mark.parametrize("takes", [0, 2, BlockingIOError(), BrokenPipeError()])
def test_what_it_does_not_take_waits_in_the_reactor_and_is_not_overtaken(transport, takes):
    writer = DirectWriter(transport)
    transport.socket.takes = [takes]
    writer.write(b"first")
    writer.write(b"second")
    assert transport.socket.asked == 1, "it is not asked again until it has taken what waits"

    transport.drain()
    writer.write(b"third")
    assert transport.socket.taken == b"firstsecondthird"
    assert transport.socket.asked == 2


def test_what_others_write_is_not_overtaken(transport):
    writer = DirectWriter(transport)
    writer.write(b"first")
    writer.hold()
    transport.write(b"ping")
    writer.write(b"second")
    transport.drain()

    assert transport.socket.taken == b"firstpingsecond"


def test_what_waited_before_the_first_write_is_not_overtaken(transport):
    transport.write(b"handshake")
    writer = DirectWriter(transport)
    writer.write(b"first")
    transport.drain()

    assert transport.socket.taken == b"handshakefirst"


def test_another_kind_of_transport_is_written_to_as_ever():
    wire = StringTransport()
    DirectWriter(wire).write(b"first")

    assert wire.value() == b"first"


@given(
    st.lists(
        st.one_of(
            st.binary(min_size=1, max_size=5).map(lambda data: ("write", data)),
            st.binary(min_size=1, max_size=5).map(lambda data: ("ping", data)),
            st.integers(0, 5).map(lambda size: ("takes", size)),
            st.just(("drain", None)),
        )
    )
)
def test_everything_arrives_in_order(steps):
    transport = Transport()
    writer, expected = DirectWriter(transport), b""
    for step, value in steps:
        if step == "write":
            writer.write(value)
            expected += value
        elif step == "ping":
            writer.hold()
            transport.write(value)
            expected += value
        elif step == "takes":
            transport.socket.takes = [value]
        else:
            transport.drain()
    transport.drain()

    assert transport.socket.taken == expected
