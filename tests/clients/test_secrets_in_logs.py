"""Whatever happens, what the log says gives nobody access to anything."""

import io
import json
from dataclasses import replace

import pytest

from homeserver.config.accounts import MailSection
from homeserver.http.dispatch import RawRequest
from homeserver.runtime.logging import LogReader, make_log
from tests.doubles.mailbox import Mailbox
from tests.doubles.rooms import PASSWORD, V3, RoomsServer

pytestmark = pytest.mark.scenario

V1 = "/_matrix/client/v1"
NEW_PASSWORD = "a new one that is long"
SECRETS = ("access_token", "refresh_token", "login_token", "session", "sid")


class LoggedServer(RoomsServer):
    """Logs everything there is to log, and remembers every secret that it gave out."""

    def __init__(self, database, directory):
        super().__init__(database, directory)
        self.log = io.StringIO()
        self.reader = LogReader(make_log(level="debug", format="json", stream=self.log))
        self.secrets = {PASSWORD, NEW_PASSWORD, "wrong guess", "s3cret"}

    def _observe(self, observation):
        self.reader.observe(observation)
        super()._observe(observation)

    async def call(self, method, path, body=None, *, token=None):
        status, answer = await super().call(method, path, body, token=token)
        if isinstance(answer, dict):
            self.secrets |= {answer[name] for name in SECRETS if name in answer}
        return status, answer


@pytest.fixture
async def server(database, tmp_path):
    async with Mailbox() as mailbox:
        server = LoggedServer(database, tmp_path)
        server.configuration = replace(
            server.configuration,
            mail=MailSection(host="127.0.0.1", port=mailbox.port, tls="none", sender="m@example.org"),
        )
        await server.start()
        server.mailbox = mailbox
        yield server
        await server.close()


def with_password(password=PASSWORD, **more):
    identifier = {"type": "m.id.user", "user": "alice"}
    return {"type": "m.login.password", "identifier": identifier, "password": password, **more}


async def test_no_secret_is_in_the_log(server):
    body = {"username": "alice", "password": PASSWORD, "refresh_token": True}
    _, asked = await server.call("POST", f"{V3}/register", body)
    body["auth"] = {"type": "m.login.dummy", "session": asked["session"]}
    _, first = await server.call("POST", f"{V3}/register", body)
    token = first["access_token"]
    await server.call("POST", f"{V3}/login", with_password("wrong guess"))
    await server.call("POST", f"{V3}/login", {**with_password(), "device_id": 7})
    await server.call("GET", f"{V3}/sync?timeout=0&access_token={token}")
    await server.call("GET", f"{V3}/sync", token=token + "x")
    await server.call("POST", f"{V3}/refresh", {"refresh_token": first["refresh_token"]})
    _, asked = await server.call("POST", f"{V1}/login/get_token", {}, token=token)
    auth = with_password(session=asked["session"])
    _, given = await server.call("POST", f"{V1}/login/get_token", {"auth": auth}, token=token)
    login = {"type": "m.login.token", "token": given["login_token"]}
    await server.call("POST", f"{V3}/login", login)
    await server.call("POST", f"{V3}/login", login)
    path = f"{V3}/user/@alice:localhost/openid/request_token"
    _, openid = await server.call("POST", path, {}, token=token)
    await server.call("GET", f"/_matrix/federation/v1/openid/userinfo?access_token={openid['access_token']}")
    page = f"{V3}/auth/m.login.password/fallback/web"
    _, asked = await server.call("POST", f"{V3}/delete_devices", {"devices": []}, token=token)
    form = f"session={asked['session']}&password=wrong+guess".encode()
    await server.dispatcher.respond(RawRequest("POST", page.encode(), {}, form, "127.0.0.1"))
    body = {"new_password": NEW_PASSWORD, "auth": with_password()}
    await server.call("POST", f"{V3}/account/password", body, token=token)
    body = {"client_secret": "s3cret", "email": "a@example.org", "send_attempt": 1}
    await server.call("POST", f"{V3}/register/email/requestToken", body)
    link = await server.mailbox.next_link()
    await server.dispatcher.respond(RawRequest("GET", link.encode(), {}, b"", "127.0.0.1"))
    server.secrets.add(link.rpartition("token=")[2])
    lines = [json.loads(line) for line in server.log.getvalue().splitlines()]

    assert len(server.secrets) > 12
    assert {"/_matrix/client/v3/login", page} <= {line.get("path") for line in lines}
    assert [secret for secret in server.secrets if secret in server.log.getvalue()] == []


async def test_what_is_stored_gives_nobody_access(server):
    body = {
        "username": "alice", "password": PASSWORD, "refresh_token": True, "auth": {"type": "m.login.dummy"},
    }  # fmt: skip
    _, first = await server.call("POST", f"{V3}/register", body)
    token = first["access_token"]
    body = {"auth": with_password()}
    _, given = await server.call("POST", f"{V1}/login/get_token", body, token=token)
    body = {"client_secret": "s3cret", "email": "a@example.org", "send_attempt": 1}
    await server.call("POST", f"{V3}/register/email/requestToken", body)
    link_token = (await server.mailbox.next_link()).rpartition("token=")[2]
    stored = ""
    for table in (
        "accounts", "devices", "device_sessions", "refresh_tokens", "short_lived_tokens", "uia_sessions",
        "validation_sessions",
    ):  # fmt: skip
        rows = await server.database.fetch(f"SELECT row_to_json({table})::text FROM {table}")
        stored += "\n".join(text for (text,) in rows)

    assert "@alice:localhost" in stored
    for secret in (PASSWORD, token, first["refresh_token"], given["login_token"], link_token):
        assert secret not in stored
