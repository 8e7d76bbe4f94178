"""Backups of keys through the whole server: versions, counts, etags, and which of two keys is kept."""

import asyncio
from urllib.parse import quote

import pytest

from homeserver.e2ee import key_backup
from homeserver.runtime.observation import ignore_observations

ALGORITHM = "m.megolm_backup.v1.curve25519-aes-sha2"
ROOM, OTHER = "!room:localhost", "!other:localhost"


def key(text="secret", *, first=0, forwarded=0, verified=False):
    return {
        "first_message_index": first, "forwarded_count": forwarded, "is_verified": verified,
        "session_data": {"ciphertext": text, "ephemeral": "e", "mac": "m"},
    }  # fmt: skip


def at(room_id=None, session_id=None, version="1"):
    parts = [quote(part, safe="") for part in (room_id, session_id) if part is not None]
    return "/".join(["/room_keys/keys", *parts]) + f"?version={version}"


async def create(user, algorithm=ALGORITHM, **auth_data):
    body = {"algorithm": algorithm, "auth_data": auth_data or {"public_key": "abc"}}
    return (await user.ask("POST", "/room_keys/version", body))["version"]


async def put(user, rooms, version="1"):
    """Store keys; `rooms` maps room IDs to session IDs to keys."""
    body = {"rooms": {room_id: {"sessions": sessions} for room_id, sessions in rooms.items()}}
    return await user.try_("PUT", at(version=version), body)


async def kept(user, version="1"):
    rooms = (await user.get(at(version=version)))["rooms"]
    return {room_id: room["sessions"] for room_id, room in rooms.items()}


async def test_a_backup_is_made_shown_changed_and_deleted(alice, bob):
    assert await alice.try_("GET", "/room_keys/version") == (404, "M_NOT_FOUND")
    assert await create(alice, public_key="one") == "1"
    assert await create(alice, public_key="two") == "2"
    assert await alice.get("/room_keys/version") == {
        "algorithm": ALGORITHM, "auth_data": {"public_key": "two"}, "count": 0, "etag": "0", "version": "2"
    }  # fmt: skip
    assert (await alice.get("/room_keys/version/1"))["auth_data"] == {"public_key": "one"}
    changed = {"algorithm": ALGORITHM, "auth_data": {"public_key": "three"}, "version": "1"}
    assert await alice.ask("PUT", "/room_keys/version/1", changed) == {}
    assert (await alice.get("/room_keys/version/1"))["auth_data"] == {"public_key": "three"}

    assert await alice.ask("DELETE", "/room_keys/version/2") == {}
    assert await alice.ask("DELETE", "/room_keys/version/2") == {}
    assert (await alice.get("/room_keys/version"))["version"] == "1"
    assert await create(alice) == "3"
    assert await bob.try_("GET", "/room_keys/version/1") == (404, "M_NOT_FOUND")


@pytest.mark.parametrize("version", ["0", "2", "-1", "01", "x", "9" * 30, "%C2%B2"])
async def test_there_is_no_other_version(alice, version):
    await create(alice)
    body = {"algorithm": ALGORITHM, "auth_data": {}}

    for method, sent in (("GET", None), ("PUT", body), ("DELETE", None)):
        assert await alice.try_(method, f"/room_keys/version/{version}", sent) == (404, "M_NOT_FOUND")
    for method in ("GET", "DELETE"):
        for place in ((), (ROOM,), (ROOM, "s")):
            assert await alice.try_(method, at(*place, version=version)) == (404, "M_NOT_FOUND")


async def test_what_a_backup_cannot_be(monkeypatch, alice):
    await create(alice)
    for body, status, errcode in (
        ({"algorithm": ALGORITHM}, 400, "M_BAD_JSON"),
        ({"auth_data": {}}, 400, "M_BAD_JSON"),
        ({"algorithm": 1, "auth_data": {}}, 400, "M_BAD_JSON"),
        ({"algorithm": ALGORITHM, "auth_data": []}, 400, "M_BAD_JSON"),
        ({"algorithm": "", "auth_data": {}}, 400, "M_INVALID_PARAM"),
        ({"algorithm": "\0", "auth_data": {}}, 400, "M_INVALID_PARAM"),
        ({"algorithm": ALGORITHM, "auth_data": {"x": "x" * 70_000}}, 413, "M_TOO_LARGE"),
    ):
        assert await alice.try_("POST", "/room_keys/version", body) == (status, errcode)
    for body in (
        {"algorithm": "m.other", "auth_data": {}},
        {"algorithm": ALGORITHM, "auth_data": {}, "version": "2"},
    ):
        assert await alice.try_("PUT", "/room_keys/version/1", body) == (400, "M_INVALID_PARAM")
    monkeypatch.setattr(key_backup, "VERSIONS_PER_USER_MAX", 1)
    body = {"algorithm": ALGORITHM, "auth_data": {}}
    assert await alice.try_("POST", "/room_keys/version", body) == (413, "M_TOO_LARGE")
    await alice.ask("DELETE", "/room_keys/version/1")
    assert await create(alice) == "2"


async def test_keys_are_stored_and_read_one_by_one_by_room_and_all_together(alice):
    await create(alice)
    assert await put(alice, {ROOM: {"a": key("1"), "b/+": key("2")}}) == (200, {"etag": "1", "count": 2})
    assert await alice.ask("PUT", at(OTHER), {"sessions": {"c": key("3")}}) == {"etag": "2", "count": 3}
    assert await alice.ask("PUT", at(OTHER, "d/+"), key("4", first=7)) == {"etag": "3", "count": 4}

    assert await alice.get(at(ROOM, "b/+")) == key("2")
    assert await alice.get(at(OTHER)) == {"sessions": {"c": key("3"), "d/+": key("4", first=7)}}
    everything = {ROOM: {"a": key("1"), "b/+": key("2")}, OTHER: {"c": key("3"), "d/+": key("4", first=7)}}
    assert await kept(alice) == everything
    assert (await alice.get("/room_keys/version/1"))["count"] == 4
    assert await alice.get(at("!none:localhost")) == {"sessions": {}}
    assert await alice.try_("GET", at(ROOM, "c")) == (404, "M_NOT_FOUND")


async def test_keys_are_deleted_one_by_one_by_room_and_all_together(alice):
    await create(alice)
    await put(alice, {ROOM: {"a": key(), "b": key()}, OTHER: {"c": key()}})
    assert await alice.ask("DELETE", at(ROOM, "none")) == {"etag": "1", "count": 3}
    assert await alice.ask("DELETE", at(ROOM, "a")) == {"etag": "2", "count": 2}
    assert await alice.ask("DELETE", at(ROOM)) == {"etag": "3", "count": 1}
    assert await kept(alice) == {OTHER: {"c": key()}}
    assert await alice.ask("DELETE", at()) == {"etag": "4", "count": 0}
    assert await kept(alice) == {}


VERIFIED_LATE = key("v", first=9, forwarded=9, verified=True)
EARLY = key("e", first=1, forwarded=9)
DIRECT = key("d", first=1, forwarded=0)
LATE = key("l", first=5, forwarded=0)
FROM_WORST_TO_BEST = [LATE, EARLY, DIRECT, VERIFIED_LATE]


@pytest.mark.parametrize("worse", range(4))
@pytest.mark.parametrize("better", range(4))
async def test_the_better_of_two_keys_is_kept(alice, worse, better):
    await create(alice)
    one, other = FROM_WORST_TO_BEST[worse], FROM_WORST_TO_BEST[better]
    await put(alice, {ROOM: {"a": one}})
    _, state = await put(alice, {ROOM: {"a": other}})

    assert await kept(alice) == {ROOM: {"a": FROM_WORST_TO_BEST[max(worse, better)]}}
    assert state == {"etag": "2" if better > worse else "1", "count": 1}


async def test_only_the_latest_backup_takes_keys_and_all_can_be_read(alice):
    assert await put(alice, {}) == (404, "M_NOT_FOUND")
    await create(alice)
    await put(alice, {ROOM: {"a": key("old")}})
    await create(alice)
    body = {"rooms": {ROOM: {"sessions": {"a": key("new")}}}}
    for version in ("1", "3", "x", ""):
        status, answer = await alice.server.call(
            "PUT", "/_matrix/client/v3" + at(version=version), body, token=alice.token
        )
        assert (status, answer["errcode"]) == (403, "M_WRONG_ROOM_KEYS_VERSION")
        assert answer["current_version"] == "2"
    assert await kept(alice) == {ROOM: {"a": key("old")}}
    assert await kept(alice, "2") == {}
    await alice.ask("DELETE", "/room_keys/version/2")
    assert (await put(alice, {ROOM: {"b": key()}}))[0] == 200
    assert await alice.ask("DELETE", at(ROOM, "a")) == {"etag": "3", "count": 1}


@pytest.mark.parametrize("field", ["first_message_index", "forwarded_count", "is_verified", "session_data"])
async def test_keys_that_cannot_be(alice, field):
    await create(alice)
    for wrong in (None, "x", -1 if field != "is_verified" else 1, 2**53 if field != "is_verified" else []):
        broken = {**key(), field: wrong}
        assert await put(alice, {ROOM: {"a": broken}}) == (400, "M_BAD_JSON")
    del broken[field]
    assert await alice.try_("PUT", at(ROOM, "a"), broken) == (400, "M_BAD_JSON")
    assert await kept(alice) == {}


async def test_places_and_sizes_that_cannot_be(monkeypatch, alice):
    await create(alice)
    for room_id in ("room", "", "!\0", "!" + "r" * 255):
        assert await put(alice, {room_id: {"a": key()}}) == (400, "M_INVALID_PARAM")
    for session_id in ("", "\0", "a" * 256):
        assert await put(alice, {ROOM: {session_id: key()}}) == (400, "M_INVALID_PARAM")
    assert (await alice.try_("GET", at("\0")))[0] == 400
    assert await alice.try_("PUT", "/room_keys/keys", {"rooms": {}}) == (400, "M_MISSING_PARAM")
    for body in ({}, {"rooms": []}, {"rooms": {ROOM: {}}}, {"rooms": {ROOM: {"sessions": {"a": 1}}}}):
        assert await alice.try_("PUT", at(), body) == (400, "M_BAD_JSON")
    form = b'{"first_message_index":0,"forwarded_count":0,"is_verified":true,"session_data":{"x":%b}}'
    for text in (b'"\\udfff"', b'"\\ud800"', b"1e999"):
        assert (await alice.try_("PUT", at(ROOM, "a"), form % text))[0] == 400
    assert await put(alice, {ROOM: {"a": key("x" * 20_000)}}) == (413, "M_TOO_LARGE")
    monkeypatch.setattr(key_backup, "KEYS_PER_VERSION_MAX", 2)
    assert await put(alice, {ROOM: {"a": key(), "b": key(), "c": key()}}) == (413, "M_TOO_LARGE")
    assert await kept(alice) == {}


async def test_many_keys_are_stored_and_read_in_parts(monkeypatch, alice):
    monkeypatch.setattr(key_backup, "_KEYS_PER_STATEMENT_MAX", 3)
    monkeypatch.setattr(key_backup, "_KEYS_PER_PAGE_MAX", 3)
    monkeypatch.setattr(key_backup, "_KEYS_FORGOTTEN_AT_ONCE_MAX", 3)
    await create(alice)
    rooms = {room_id: {f"s{number}": key(str(number)) for number in range(9)} for room_id in (ROOM, OTHER)}
    assert await put(alice, rooms) == (200, {"etag": "1", "count": 18})

    assert await kept(alice) == rooms
    assert len((await alice.get(at(ROOM)))["sessions"]) == 9
    await alice.ask("DELETE", "/room_keys/version/1")
    rows = "SELECT (SELECT count(*) FROM backed_up_keys) + (SELECT count(*) FROM key_backups)"
    assert await alice.server.database.fetch_one(rows) == (0,)


async def test_devices_that_back_up_at_once_lose_nothing(alice):
    await create(alice)
    answers = await asyncio.gather(
        *[put(alice, {ROOM: {f"s{number}": key(), "shared": key()}}) for number in range(20)]
    )
    assert {status for status, _ in answers} == {200}
    shown = await alice.get("/room_keys/version/1")
    assert (shown["count"], shown["etag"]) == (21, "20")
    assert len((await kept(alice))[ROOM]) == 21


async def test_a_deletion_that_was_cut_short_is_finished_later(rooms_server, alice):
    await create(alice)
    await put(alice, {ROOM: {"a": key()}})
    await rooms_server.database.execute("UPDATE key_backups SET is_deleted = true")
    assert await alice.try_("GET", "/room_keys/version") == (404, "M_NOT_FOUND")
    assert await alice.try_("GET", at()) == (404, "M_NOT_FOUND")

    await rooms_server.services.encryption.key_backups.forget()
    assert await rooms_server.database.fetch_one("SELECT count(*) FROM backed_up_keys") == (0,)


async def test_who_goes_for_good_leaves_no_backup(rooms_server, alice, bob):
    for user in (alice, bob):
        for _ in range(2):
            await put(user, {ROOM: {"a": key()}}, await create(user))
    backups = key_backup.KeyBackups(rooms_server.database, ignore_observations)
    await backups.delete_all(alice.user_id)

    assert await alice.try_("GET", "/room_keys/version") == (404, "M_NOT_FOUND")
    assert (await bob.get("/room_keys/version"))["count"] == 1
    assert await rooms_server.database.fetch_one("SELECT count(*) FROM backed_up_keys") == (2,)


async def test_backups_survive_a_restart(rooms_server, alice):
    await create(alice)
    await put(alice, {ROOM: {"a": key("ü")}})
    await rooms_server.restart()

    assert await kept(alice) == {ROOM: {"a": key("ü")}}
    assert (await alice.get("/room_keys/version"))["etag"] == "1"
