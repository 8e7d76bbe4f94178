import pytest

from homeserver.app.health import HealthEndpoints
from homeserver.app.landing import LandingEndpoints
from homeserver.app.listeners import api_of, endpoints_for, url_of
from homeserver.app.server import base_url_of
from homeserver.config.load import load
from homeserver.core.errors import Unavailable
from homeserver.http.endpoint import endpoints_of


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/", "client"),
        ("/.well-known/matrix/client", "client"),
        ("/_matrix/client/v3/sync", "client"),
        ("/_synapse/admin/v1/register", "admin"),
        ("/health", "health"),
        ("/ready", "health"),
        ("/_matrix/federation/v1/version", "federation"),
        ("/_matrix/key/v2/server", "federation"),
        ("/.well-known/matrix/server", "federation"),
    ],
)
def test_every_path_belongs_to_an_api(path, api):
    assert api_of(path) == api


def test_a_listener_serves_the_apis_it_was_given():
    endpoints = [
        *endpoints_of(LandingEndpoints(page="")),
        *endpoints_of(HealthEndpoints(check_database=None)),
    ]

    assert {one.path for one in endpoints_for(("health",), endpoints)} == {"/health", "/ready"}
    assert {one.path for one in endpoints_for(("client",), endpoints)} == {"/"}


def test_an_address_of_all_interfaces_is_reached_by_loopback():
    assert url_of("0.0.0.0", 80) == "http://127.0.0.1:80"
    assert url_of("::", 443, is_tls=True) == "https://[::1]:443"


def test_clients_are_told_the_configured_address_or_that_of_the_client_listener():
    listeners = '[{address = "127.0.0.1", port = 1, apis = ["admin"]}, {address = "127.0.0.1", port = 2}]'

    assert base_url_of(load(None, {"ISTHMUS_LISTENERS": listeners})) == "http://127.0.0.1:2"
    assert base_url_of(load(None, {"ISTHMUS_PUBLIC_BASE_URL": "https://m.example.org"})) == (
        "https://m.example.org"
    )


async def ready(health):
    endpoints = {one.path: one for one in endpoints_of(health)}
    return (await endpoints["/ready"].respond(None)).status


async def test_a_server_is_ready_while_its_database_answers_and_it_does_not_stop():
    async def answers():
        return None

    async def does_not():
        raise Unavailable("gone")

    health = HealthEndpoints(check_database=answers)
    assert await ready(health) == 200
    assert await ready(HealthEndpoints(check_database=does_not)) == 503

    health.is_stopping = True
    assert await ready(health) == 503
