import asyncio
from dataclasses import replace
from urllib.parse import quote

import pytest

from homeserver.config.accounts import RegistrationSection
from tests.doubles.rooms import PASSWORD, V3, User

V1 = "/_matrix/client/v1"


def password_of(user, password=PASSWORD):
    identifier = {"type": "m.id.user", "user": user.user_id}
    return {"type": "m.login.password", "identifier": identifier, "password": password}


async def log_in(server, user, password=PASSWORD):
    status, answer = await server.call("POST", f"{V3}/login", password_of(user, password))
    return status, User(server, answer) if status == 200 else answer


async def whoami(user):
    return await user.server.call("GET", f"{V3}/account/whoami", token=user.token)


async def test_a_new_password_logs_out_the_other_devices(rooms_server, alice):
    _, other = await log_in(rooms_server, alice)
    body = {"new_password": "another long one", "auth": password_of(alice)}
    await alice.ask("POST", "/account/password", body)

    assert (await log_in(rooms_server, alice))[0] == 403
    assert (await log_in(rooms_server, alice, "another long one"))[0] == 200
    assert (await whoami(other))[1]["errcode"] == "M_UNKNOWN_TOKEN"
    assert (await whoami(alice))[0] == 200


async def test_the_other_devices_stay_where_that_is_wanted(rooms_server, alice):
    _, other = await log_in(rooms_server, alice)
    body = {"new_password": "another long one", "logout_devices": False, "auth": password_of(alice)}
    await alice.ask("POST", "/account/password", body)

    assert (await whoami(other))[0] == 200


@pytest.mark.parametrize(
    ("new", "given", "errcode"),
    [("short", PASSWORD, "M_WEAK_PASSWORD"), ("long enough", "wrong", "M_FORBIDDEN")],
)
async def test_a_password_is_not_changed_to_a_weak_one_or_without_the_old(alice, new, given, errcode):
    body = {"new_password": new, "auth": password_of(alice, given)}

    assert (await alice.try_("POST", "/account/password", body))[1] == errcode


async def settled(condition):
    for _ in range(500):
        if await condition():
            return True
        await asyncio.sleep(0)  # each look asks the database
    return False


async def test_a_deactivated_account_is_gone(rooms_server, alice, bob):
    room_id = await bob.create(preset="public_chat")
    await alice.act(room_id, "join")
    await alice.send(room_id, "before")
    await alice.ask("PUT", f"/user/{alice.user_id}/account_data/org.example", {"a": 1})
    answer = await alice.ask("POST", "/account/deactivate", {"auth": password_of(alice), "erase": True})

    async def has_left():
        return alice.user_id not in (await bob.get(f"/rooms/{quote(room_id)}/joined_members"))["joined"]

    assert answer == {"id_server_unbind_result": "success"}
    assert (await whoami(alice))[1]["errcode"] == "M_UNKNOWN_TOKEN"
    assert (await log_in(rooms_server, alice))[1]["errcode"] == "M_FORBIDDEN"
    assert await settled(has_left)
    assert (await rooms_server.call("GET", f"{V3}/profile/{alice.user_id}"))[1] == {}
    status, taken = await rooms_server.call("GET", f"{V3}/register/available?username=alice")
    assert (status, taken["errcode"]) == (400, "M_USER_IN_USE")
    rows = await rooms_server.database.fetch("SELECT 1 FROM account_data WHERE user_id = %b", alice.user_id)
    assert rows == []
    assert await rooms_server.storage.reads.erased_users.among([alice.user_id]) == {alice.user_id}


async def test_a_departure_goes_on_after_a_restart(rooms_server, alice, bob):
    room_id = await bob.create(preset="public_chat")
    await alice.act(room_id, "join")
    await rooms_server.database.execute(
        "UPDATE accounts SET deactivated_ms = 1, is_departing = true WHERE user_id = %b", alice.user_id
    )
    await rooms_server.restart()

    async def has_left():
        return alice.user_id not in (await bob.get(f"/rooms/{quote(room_id)}/joined_members"))["joined"]

    assert await settled(has_left)
    assert (await whoami(alice))[1]["errcode"] == "M_UNKNOWN_TOKEN"


async def test_a_login_token_logs_in_once(rooms_server, alice):
    status, asked = await rooms_server.call("POST", f"{V1}/login/get_token", {}, token=alice.token)
    body = {"auth": {**password_of(alice), "session": asked["session"]}}
    _, given = await rooms_server.call("POST", f"{V1}/login/get_token", body, token=alice.token)
    login = {"type": "m.login.token", "token": given["login_token"]}
    first = await rooms_server.call("POST", f"{V3}/login", login)
    second = await rooms_server.call("POST", f"{V3}/login", login)

    assert status == 401
    assert given["expires_in_ms"] == 120_000
    assert first[1]["user_id"] == alice.user_id
    assert (second[0], second[1]["errcode"]) == (403, "M_FORBIDDEN")


async def test_an_openid_token_tells_who_has_it_and_nothing_else(rooms_server, alice, bob):
    given = await alice.ask("POST", f"/user/{alice.user_id}/openid/request_token", {})
    userinfo = "/_matrix/federation/v1/openid/userinfo"
    token = given["access_token"]

    assert (given["token_type"], given["matrix_server_name"], given["expires_in"]) == (
        "Bearer", "localhost", 3600,
    )  # fmt: skip
    assert await rooms_server.call("GET", f"{userinfo}?access_token={token}") == (
        200, {"sub": alice.user_id},
    )  # fmt: skip
    assert (await rooms_server.call("GET", f"{userinfo}?access_token=x"))[1]["errcode"] == "M_UNKNOWN_TOKEN"
    assert (await rooms_server.call("GET", userinfo))[1]["errcode"] == "M_MISSING_TOKEN"
    assert (await rooms_server.call("GET", f"{V3}/sync", token=token))[0] == 401
    path = f"/user/{alice.user_id}/openid/request_token"
    assert (await bob.try_("POST", path, {}))[1] == "M_FORBIDDEN"


async def set_state(admin, kind, user, *, value=True):
    word = {"lock": "locked", "suspend": "suspended"}[kind]
    path = f"{V1}/admin/{kind}/{user.user_id}"
    return await admin.server.call("PUT", path, {word: value}, token=admin.token)


async def test_a_locked_user_can_only_log_out(rooms_server, admin, alice):
    _, other = await log_in(rooms_server, alice)
    assert await set_state(admin, "lock", alice) == (200, {"locked": True})
    status, refused = await rooms_server.call("GET", f"{V3}/sync", token=alice.token)
    again, refused_again = await log_in(rooms_server, alice)
    left = await rooms_server.call("POST", f"{V3}/logout", {}, token=other.token)
    await set_state(admin, "lock", alice, value=False)

    assert (status, refused["errcode"], refused["soft_logout"]) == (401, "M_USER_LOCKED", True)
    assert (again, refused_again["errcode"]) == (401, "M_USER_LOCKED")
    assert left == (200, {})
    assert (await whoami(alice))[0] == 200
    assert (await whoami(other))[0] == 401


@pytest.mark.parametrize(
    ("end", "errcode"), [("lock", "M_USER_LOCKED"), ("log out", "M_UNKNOWN_TOKEN")]
)
async def test_who_waits_in_a_sync_meanwhile_hears_nothing_more(admin, alice, bob, end, errcode):
    room_id = await bob.create(preset="public_chat")
    await alice.act(room_id, "join")
    since = (await alice.get("/sync?timeout=0"))["next_batch"]
    waiting = asyncio.create_task(alice.try_("GET", f"/sync?timeout=30000&since={since}"))
    await asyncio.sleep(0)
    if end == "lock":
        await set_state(admin, "lock", alice)
    else:
        await alice.ask("POST", "/logout", {})
    await bob.send(room_id, "a secret")

    assert await waiting == (401, errcode)


async def test_a_locked_user_cannot_refresh_tokens(rooms_server, admin, alice):
    body = {**password_of(alice), "refresh_token": True}
    _, issued = await rooms_server.call("POST", f"{V3}/login", body)
    await set_state(admin, "lock", alice)
    body = {"refresh_token": issued["refresh_token"]}
    status, refused = await rooms_server.call("POST", f"{V3}/refresh", body)
    await set_state(admin, "lock", alice, value=False)

    assert (status, refused["errcode"]) == (401, "M_USER_LOCKED")
    assert (await rooms_server.call("POST", f"{V3}/refresh", body))[0] == 200


async def test_a_suspended_user_reads_and_leaves_and_does_little_else(admin, alice, bob):
    room_id = await bob.create(preset="public_chat")
    other_id = await bob.create(preset="public_chat")
    await alice.act(room_id, "join")
    own, others = await alice.send(room_id), await bob.send(room_id)
    await set_state(admin, "suspend", alice)
    refused = [
        await alice.try_send(room_id),
        await alice.try_act(other_id, "join"),
        await alice.try_("POST", f"/join/{quote(other_id)}", {}),
        await alice.try_("POST", f"/knock/{quote(other_id)}", {}),
        await alice.try_("POST", "/createRoom", {}),
        await alice.try_act(room_id, "invite", user_id=admin.user_id),
        await alice.try_("PUT", f"/profile/{alice.user_id}/displayname", {"displayname": "A"}),
        await alice.try_("PUT", f"/rooms/{quote(room_id)}/state/m.room.topic", {"topic": "t"}),
        await alice.try_("PUT", alice.redact_path(room_id, others), {}),
    ]

    assert set(refused) == {(403, "M_USER_SUSPENDED")}
    await alice.get("/sync?timeout=0")
    await alice.get(f"/rooms/{quote(room_id)}/messages?dir=b")
    await alice.redact(room_id, own)
    await alice.act(room_id, "leave")
    await set_state(admin, "suspend", alice, value=False)
    await alice.act(other_id, "join")


async def test_accounts_are_moderated_by_administrators_only(rooms_server, admin, alice, bob):
    await rooms_server.database.execute(
        "UPDATE accounts SET is_admin = true WHERE user_id = %b", bob.user_id
    )
    nobody = User(rooms_server, {"user_id": "@nobody:localhost", "access_token": ""})
    elsewhere = User(rooms_server, {"user_id": "@a:elsewhere.org", "access_token": ""})
    for kind in ("lock", "suspend"):
        cases = [
            (alice, nobody, 403, "M_FORBIDDEN"),
            (admin, admin, 403, "M_FORBIDDEN"),
            (admin, bob, 403, "M_FORBIDDEN"),
            (admin, nobody, 404, "M_NOT_FOUND"),
            (admin, elsewhere, 400, "M_INVALID_PARAM"),
        ]
        for who, whom, status, errcode in cases:
            answer = await set_state(who, kind, whom)
            assert (answer[0], answer[1]["errcode"]) == (status, errcode)
        path = f"{V1}/admin/{kind}/{alice.user_id}"
        word = {"lock": "locked", "suspend": "suspended"}[kind]
        assert await rooms_server.call("GET", path, token=admin.token) == (200, {word: False})


async def test_administrators_are_told_that_they_are(admin, alice):
    told = {user: (await user.get("/capabilities"))["capabilities"] for user in (admin, alice)}

    assert told[admin]["m.account_moderation"] == {"suspend": True, "lock": True}
    assert "m.account_moderation" not in told[alice]


async def test_whois_tells_from_where_a_user_was_seen(admin, alice, bob):
    own = await alice.get(f"/admin/whois/{alice.user_id}")
    same = await admin.get(f"/admin/whois/{alice.user_id}")
    (device,) = own["devices"].values()
    listed = (await alice.get("/devices"))["devices"]
    one = await alice.get(f"/devices/{listed[0]['device_id']}")

    assert [entry["device_id"] for entry in listed] == [one["device_id"]]
    assert one["last_seen_ip"] == "127.0.0.1"
    assert one["last_seen_ts"] >= device["sessions"][0]["connections"][0]["last_seen"]
    assert device["sessions"][0]["connections"][0]["ip"] == "127.0.0.1"
    assert same["devices"].keys() == own["devices"].keys()
    assert (await bob.try_("GET", f"/admin/whois/{alice.user_id}"))[1] == "M_FORBIDDEN"


async def test_whois_tells_administrators_of_each_other_too(rooms_server, admin, alice):
    await rooms_server.database.execute(
        "UPDATE accounts SET is_admin = true WHERE user_id = %b", alice.user_id
    )
    await alice.get("/account/whoami")

    assert (await admin.get(f"/admin/whois/{alice.user_id}"))["user_id"] == alice.user_id
    assert await admin.try_("GET", "/admin/whois/@nobody:localhost") == (404, "M_NOT_FOUND")
    assert await admin.try_("GET", "/admin/whois/@alice:elsewhere.org") == (400, "M_INVALID_PARAM")


@pytest.mark.parametrize("kind", ["lock", "suspend"])
async def test_what_was_to_be_sent_later_is_not_sent_by_who_is_kept_from_sending(
    rooms_server, admin, alice, bob, kind
):
    room_id = await bob.create(preset="public_chat")
    await alice.act(room_id, "join")
    path = alice.send_path(room_id, None, "m.room.message") + "?org.matrix.msc4140.delay=60000"
    delay_id = (await alice.ask("PUT", path, {"msgtype": "m.text", "body": "x"}))["delay_id"]
    await set_state(admin, kind, alice)
    path = f"/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delay_id}/send"
    status, answer = await rooms_server.call("POST", path, {})

    assert (status, answer["errcode"]) == (403, "M_USER_SUSPENDED")
    assert await bob.texts(room_id) == []


@pytest.fixture
async def with_guests(rooms_server):
    rooms_server.configuration = replace(
        rooms_server.configuration, registration=RegistrationSection(mode="open", guests=True)
    )
    await rooms_server.restart()
    return rooms_server


async def take_in(server):
    status, answer = await server.call("POST", f"{V3}/register?kind=guest", {})
    assert status == 200, answer
    return User(server, answer)


async def test_guests_are_refused_unless_they_are_wanted(rooms_server):
    status, answer = await rooms_server.call("POST", f"{V3}/register?kind=guest", {})

    assert (status, answer["errcode"]) == (403, "M_GUEST_ACCESS_FORBIDDEN")


async def test_a_guest_does_what_guests_may(with_guests, alice):
    guest = await take_in(with_guests)
    room_id = await alice.create(preset="private_chat", initial_state=[
        {"type": "m.room.join_rules", "content": {"join_rule": "public"}},
    ])  # fmt: skip
    closed_id = await alice.create(preset="public_chat")
    await guest.act(room_id, "join")
    await guest.send(room_id)
    await guest.ask("PUT", f"/profile/{guest.user_id}/displayname", {"displayname": "Guest"})
    refused = [
        await guest.try_act(closed_id, "join"),
        await guest.try_("POST", "/createRoom", {}),
        await guest.try_("PUT", f"/profile/{guest.user_id}/avatar_url", {"avatar_url": "mxc://a/b"}),
        await guest.try_act(room_id, "invite", user_id=alice.user_id),
    ]

    assert (await whoami(guest))[1]["is_guest"] is True
    assert set(refused) == {(403, "M_GUEST_ACCESS_FORBIDDEN")}


async def test_guests_leave_when_a_room_wants_none_any_more(with_guests, alice):
    guest = await take_in(with_guests)
    room_id = await alice.create(preset="private_chat")
    await alice.ask(
        "PUT", f"/rooms/{quote(room_id)}/state/m.room.join_rules", {"join_rule": "public"}
    )
    await guest.act(room_id, "join")
    await alice.ask(
        "PUT", f"/rooms/{quote(room_id)}/state/m.room.guest_access", {"guest_access": "forbidden"}
    )

    async def has_left():
        return guest.user_id not in (await alice.get(f"/rooms/{quote(room_id)}/joined_members"))["joined"]

    assert await settled(has_left)


async def test_a_guest_becomes_a_user_and_keeps_the_session(with_guests):
    guest = await take_in(with_guests)
    body = {
        "username": guest.user_id[1:].partition(":")[0], "password": PASSWORD,
        "guest_access_token": guest.token, "auth": {"type": "m.login.dummy"}, "inhibit_login": True,
    }  # fmt: skip
    wrong = await with_guests.call("POST", f"{V3}/register", {**body, "username": "other"})
    status, answer = await with_guests.call("POST", f"{V3}/register", body)

    assert (wrong[0], wrong[1]["errcode"]) == (400, "M_INVALID_USERNAME")
    assert (status, answer["user_id"]) == (200, guest.user_id)
    assert (await whoami(guest))[1]["is_guest"] is False
    assert (await log_in(with_guests, guest))[0] == 200
    again = await with_guests.call("POST", f"{V3}/register", body)
    assert (again[0], again[1]["errcode"]) == (403, "M_FORBIDDEN")
