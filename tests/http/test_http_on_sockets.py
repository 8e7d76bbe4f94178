import contextlib
import http.client
import socket
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

pytestmark = pytest.mark.scenario


@pytest.fixture(scope="module")
def port():
    script = Path(__file__).with_name("listening_server.py")
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, env=environment) as server:
        yield int(server.stdout.readline())
        server.terminate()


@pytest.fixture
def connection(port):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        yield connection


def exchange(connection, method, path, body=None, **options):
    connection.request(method, path, body, **options)
    response = connection.getresponse()
    return response.status, response.read()


def test_a_connection_is_kept_for_requests_large_and_small(connection):
    assert exchange(connection, "POST", "/echo", b'{"a":1}') == (200, b'{"a":1}')
    status, body = exchange(connection, "GET", "/large")
    assert (status, len(body)) == (200, 5_000_000)
    assert exchange(connection, "HEAD", "/large") == (200, b"")
    chunks = iter([b'{"a"', b":2}"])
    assert exchange(connection, "POST", "/echo", chunks, encode_chunked=True) == (200, b'{"a":2}')


def test_a_body_over_the_limit_is_answered_though_the_client_sends_it_all(connection):
    status, body = exchange(connection, "POST", "/echo", b"x" * 3_000_000)

    assert (status, orjson.loads(body)["errcode"]) == (413, "M_TOO_LARGE")


def test_a_client_that_goes_away_ends_its_request(port, connection):
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /wait HTTP/1.1\r\n\r\n")
        # The server has read the above when it has answered this.
        exchange(connection, "GET", "/given_up")
    for _ in range(100):
        if exchange(connection, "GET", "/given_up") == (200, b"1"):
            return
    pytest.fail("the request went on")


def test_a_websocket_takes_the_connection_over(port):
    handshake = (
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    masked_hello = b"\x81\x85\0\0\0\0hello"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        stream = client.makefile("rb")
        client.sendall(handshake.encode() + masked_hello)
        status = stream.readline()
        while stream.readline() != b"\r\n":
            pass
        first = stream.read(2 + len("127.0.0.1 hello"))
        client.sendall(masked_hello)
        second = stream.read(2 + len("127.0.0.1 hello"))

    assert status == b"HTTP/1.1 101 Switching Protocols\r\n"
    assert first == second == b"\x81\x0f127.0.0.1 hello"
