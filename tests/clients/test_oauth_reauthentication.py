"""What asks for the password again is not for clients that are to see none.

Spec: https://spec.matrix.org/v1.19/client-server-api/#oauth-20-api
"""

import pytest

from tests.doubles.oauth import Browser, OAuthClient
from tests.doubles.rooms import PASSWORD, User


@pytest.fixture
async def phone(rooms_server, alice):
    client = await OAuthClient(rooms_server).register()
    answer = await client.sign_in(Browser(rooms_server))
    return User(rooms_server, {"user_id": alice.user_id, "access_token": answer["access_token"]})


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "/devices/PHONE", {}),
        ("POST", "/delete_devices", {"devices": ["PHONE"]}),
        ("POST", "/account/password", {"new_password": "another good password"}),
        ("POST", "/account/deactivate", {}),
        ("POST", "/account/3pid/add", {"sid": "1", "client_secret": "secret"}),
    ],
)
async def test_it_is_refused_with_the_right_password_too(alice, phone, method, path, body):
    auth = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": alice.user_id},
        "password": PASSWORD,
    }
    for tried in (body, {**body, "auth": auth}):
        assert await phone.try_(method, path, tried) == (403, "M_FORBIDDEN")

    status, answer = await alice.try_(method, path, body)
    assert status == 401, "who logged in with the password is asked for it"
    assert answer["flows"]
