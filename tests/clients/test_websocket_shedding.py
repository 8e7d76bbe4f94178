"""An open connection keeps of autobahn's state only what is its own, and can tell all the rest."""

from autobahn.twisted.websocket import WebSocketServerProtocol

from clients.websocket.shedding import AT_REST, settled, shed


class Protocol:
    """What a connection has when it is open."""

    CONFIG_ATTRS = ("autoPingInterval",)

    def __init__(self):
        for name, value in AT_REST.items():
            setattr(self, name, value)
        self.peer = "tcp4:192.0.2.1:54321"
        self.http_request_data = b"GET / HTTP/1.1"


def test_what_is_at_rest_is_told_by_the_class():
    protocol = settled(Protocol, {"autoPingInterval": 30})()

    shed(protocol)

    assert vars(protocol) == {"peer": "tcp4:192.0.2.1:54321"}
    assert {name: getattr(protocol, name) for name in AT_REST} == AT_REST
    assert protocol.autoPingInterval == 30


def test_what_has_happened_is_kept():
    protocol = settled(Protocol, {})()
    protocol.failedByMe, protocol.localCloseCode = True, 1002

    shed(protocol)

    assert protocol.failedByMe
    assert protocol.localCloseCode == 1002


def test_what_happens_later_is_this_connections_alone():
    kind = settled(Protocol, {})
    first, second = kind(), kind()
    shed(first)
    shed(second)

    first.failedByMe = True

    assert not second.failedByMe


def test_autobahn_begins_with_all_of_it():
    """A release that names things in another way would leave them where they are, and cost memory unseen."""
    code = WebSocketServerProtocol.__mro__
    names = {name for one in code for part in vars(one).values() for name in _names_of(part)}

    assert names >= AT_REST.keys()


def _names_of(part):
    return getattr(getattr(part, "__code__", None), "co_names", ())
