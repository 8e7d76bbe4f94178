"""Account data and tags, as clients set and read them."""

import asyncio
from urllib.parse import quote

import pytest

from homeserver.accounts import account_data
from tests.doubles.rooms import V3

ROOM = "!somewhere:example.org"
UNSTABLE = "/_matrix/client/unstable/org.matrix.msc3391"


def path_of(user, type_, room_id=None):
    room = "" if room_id is None else f"/rooms/{quote(room_id)}"
    return f"/user/{quote(user.user_id)}{room}/account_data/{quote(type_, safe='')}"


def tags_of(user, room_id=ROOM, tag=None):
    rest = "" if tag is None else f"/{quote(tag, safe='')}"
    return f"/user/{quote(user.user_id)}/rooms/{quote(room_id)}/tags{rest}"


async def delete(user, type_, room_id=None):
    return await user.server.call("DELETE", UNSTABLE + path_of(user, type_, room_id), token=user.token)


@pytest.mark.parametrize("room_id", [None, ROOM])
async def test_what_is_set_is_read_again_after_a_restart_too(rooms_server, alice, room_id):
    path = path_of(alice, "org.example.colors", room_id)
    assert await alice.try_("GET", path) == (404, "M_NOT_FOUND")
    for content in ({"red": 1, "blue": [1.5, None]}, {}, {"red": 2}, {"red": 2}):
        assert await alice.ask("PUT", path, content) == {}
        assert await alice.get(path) == content

    await rooms_server.restart()

    assert await alice.get(path) == {"red": 2}


async def test_the_same_type_is_another_thing_in_each_place(alice, bob):
    places = [(alice, None), (alice, ROOM), (alice, "!other:example.org"), (bob, None)]
    for number, (user, room_id) in enumerate(places):
        await user.ask("PUT", path_of(user, "org.example.n", room_id), {"n": number})

    found = [await user.get(path_of(user, "org.example.n", room_id)) for user, room_id in places]

    assert found == [{"n": number} for number in range(4)]


@pytest.mark.parametrize("room_id", [None, ROOM])
async def test_what_is_deleted_is_gone_and_can_be_set_again(rooms_server, alice, room_id):
    path = path_of(alice, "org.example.n", room_id)
    assert await delete(alice, "org.example.n", room_id) == (200, {})
    await alice.ask("PUT", path, {"n": 1})
    assert await delete(alice, "org.example.n", room_id) == (200, {})
    assert await alice.try_("GET", path) == (404, "M_NOT_FOUND")
    assert await delete(alice, "org.example.n", room_id) == (200, {})
    await rooms_server.restart()
    assert await alice.try_("GET", path) == (404, "M_NOT_FOUND")

    await alice.ask("PUT", path, {"n": 2})

    assert await alice.get(path) == {"n": 2}


async def test_only_ones_own(alice, bob):
    await bob.ask("PUT", path_of(bob, "org.example.n"), {"n": 1})

    for method in ("GET", "PUT"):
        for room_id in (None, ROOM):
            path = path_of(bob, "org.example.n", room_id)
            assert await alice.try_(method, path, {}) == (403, "M_FORBIDDEN")
    for method, tag in (("GET", None), ("PUT", "u.work"), ("DELETE", "u.work")):
        assert await alice.try_(method, tags_of(bob, tag=tag), {}) == (403, "M_FORBIDDEN")
    status, _ = await alice.server.call(
        "DELETE", UNSTABLE + path_of(bob, "org.example.n"), token=alice.token
    )
    assert status == 403
    assert await bob.get(path_of(bob, "org.example.n")) == {"n": 1}


@pytest.mark.parametrize("type_", ["m.fully_read", "m.push_rules"])
@pytest.mark.parametrize("room_id", [None, ROOM])
async def test_what_the_server_sets_is_not_set_or_deleted_here(alice, type_, room_id):
    assert await alice.try_("PUT", path_of(alice, type_, room_id), {"a": 1}) == (405, "M_BAD_JSON")
    status, answer = await delete(alice, type_, room_id)
    assert (status, answer["errcode"]) == (405, "M_BAD_JSON")


async def test_push_rules_are_read_here_too(alice):
    rules = await alice.get(path_of(alice, "m.push_rules"))

    assert rules == await alice.get("/pushrules/")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"[]", (400, "M_BAD_JSON")),
        (b'"text"', (400, "M_BAD_JSON")),
        (b"{", (400, "M_NOT_JSON")),
        (b"\xff", (400, "M_NOT_JSON")),
        (b'{"a":"' + b"x" * account_data.CONTENT_BYTES_MAX + b'"}', (413, "M_TOO_LARGE")),
        (b'{"a":' * 200 + b"1" + b"}" * 200, (400, "M_BAD_JSON")),
    ],
)
async def test_content_that_is_refused(alice, body, expected):
    path = path_of(alice, "org.example.n")
    assert await alice.try_("PUT", path, body) == expected
    assert await alice.try_("GET", path) == (404, "M_NOT_FOUND")


@pytest.mark.parametrize(
    ("type_", "room_id"),
    [
        ("x" * 256, None), ("a\0b", None), ("", None), ("ü" * 128, None), ("t", "@user:example.org"),
        ("t", "!a\0b:example.org"), ("t", "!" + "x" * 300), ("t", "#alias:example.org"), ("t", "nothing"),
    ],
)  # fmt: skip
async def test_names_that_are_refused(alice, type_, room_id):
    for method in ("GET", "PUT"):
        assert await alice.try_(method, path_of(alice, type_, room_id), {}) == (400, "M_INVALID_PARAM")
    status, answer = await delete(alice, type_, room_id)
    assert (status, answer["errcode"]) == (400, "M_INVALID_PARAM")


async def test_any_text_is_content_and_any_name_a_type(alice):
    content = {"\0": "\0 ü 😀 \ud7ff", "": {"nested": [[], {}]}, "n": -(2**63), "big": 1e300}
    for type_ in ("ü/😀?#%", ".", "x" * 255, "m.direct"):
        await alice.ask("PUT", path_of(alice, type_), content)
        assert await alice.get(path_of(alice, type_)) == content


async def test_an_account_holds_so_many_entries_and_bytes(alice, monkeypatch):
    monkeypatch.setattr(account_data, "ENTRIES_PER_USER_MAX", 3)
    monkeypatch.setattr(account_data, "BYTES_PER_USER_MAX", 100)
    for number in range(3):
        await alice.ask("PUT", path_of(alice, f"t{number}"), {"n": number})
    assert await alice.try_("PUT", path_of(alice, "t3"), {"n": 3}) == (413, "M_TOO_LARGE")
    await delete(alice, "t0")
    # What is deleted still has its row, and can be set again.
    assert await alice.try_("PUT", path_of(alice, "t3"), {"n": 3}) == (413, "M_TOO_LARGE")
    await alice.ask("PUT", path_of(alice, "t0"), {"n": 4})

    assert await alice.try_("PUT", path_of(alice, "t1"), {"n": "x" * 100}) == (413, "M_TOO_LARGE")
    await alice.ask("PUT", path_of(alice, "t1"), {"n": "x" * 50})
    assert await alice.get(path_of(alice, "t1")) == {"n": "x" * 50}


async def test_of_changes_at_once_the_last_one_stays(rooms_server, alice):
    path = path_of(alice, "org.example.n")
    changes = []
    rooms_server.storage.bus.subscribe(changes.extend)

    await asyncio.gather(*(alice.ask("PUT", path, {"n": number}) for number in range(30)))

    assert len(changes) == 30
    assert [change.position for change in changes] == sorted(change.position for change in changes)
    assert changes[-1].content == b'{"n":%d}' % (await alice.get(path))["n"]


async def test_nothing_is_published_where_nothing_changes(rooms_server, alice):
    path = path_of(alice, "org.example.n")
    await alice.ask("PUT", path, {"n": 1})
    changes = []
    rooms_server.storage.bus.subscribe(changes.extend)

    await alice.ask("PUT", path, {"n": 1})
    await delete(alice, "org.example.other")
    await alice.ask("DELETE", tags_of(alice, tag="u.work"))

    assert changes == []


async def test_whoever_goes_away_before_the_commit_spoils_nothing_for_the_next(
    rooms_server, alice, monkeypatch
):
    service, journal = rooms_server.services.account_data, rooms_server.storage.journal
    append, appended = journal.append, asyncio.Event()

    def appending(write):
        appended.set()
        return append(write)

    monkeypatch.setattr(journal, "append", appending)
    for number in range(10):
        appended.clear()
        task = asyncio.create_task(
            service.change(alice.user_id, "t", lambda old, number=number: (old or b"") + b"%d" % number)
        )
        await appended.wait()
        task.cancel()

    await service.change(alice.user_id, "t", lambda old: b"%b!" % old)

    assert await service.get(alice.user_id, "t") == b"0123456789!"
    assert not service._writes


async def test_tags_are_put_on_and_taken_off(rooms_server, alice):
    assert await alice.get(tags_of(alice)) == {"tags": {}}
    assert await alice.ask("PUT", tags_of(alice, tag="m.favourite"), {"order": 0.25}) == {}
    await alice.ask("PUT", tags_of(alice, tag="u.Wörk/1"), {"order": 1, "org.example.more": True})
    await alice.ask("PUT", tags_of(alice, tag="u.bare"))
    expected = {
        "m.favourite": {"order": 0.25}, "u.Wörk/1": {"order": 1, "org.example.more": True}, "u.bare": {},
    }  # fmt: skip
    assert await alice.get(tags_of(alice)) == {"tags": expected}
    assert await alice.get(path_of(alice, "m.tag", ROOM)) == {"tags": expected}
    assert await alice.get(tags_of(alice, "!other:example.org")) == {"tags": {}}
    await rooms_server.restart()

    assert await alice.ask("DELETE", tags_of(alice, tag="u.bare")) == {}
    assert await alice.ask("DELETE", tags_of(alice, tag="u.never")) == {}

    del expected["u.bare"]
    assert await alice.get(tags_of(alice)) == {"tags": expected}


async def test_tags_set_at_once_are_all_there(rooms_server, alice):
    names = [f"u.{number}" for number in range(20)]

    await asyncio.gather(*(alice.ask("PUT", tags_of(alice, tag=name), {}) for name in names))
    assert set((await alice.get(tags_of(alice)))["tags"]) == set(names)
    await asyncio.gather(*(alice.ask("DELETE", tags_of(alice, tag=name)) for name in names))

    assert await alice.get(tags_of(alice)) == {"tags": {}}
    assert not rooms_server.services.account_data._locks


async def test_tags_on_top_of_what_is_none(alice):
    for content in ({"tags": [1]}, {"tags": None}, {"other": 1}):
        await alice.ask("PUT", path_of(alice, "m.tag", ROOM), content)
        assert await alice.get(tags_of(alice)) == {"tags": {}}
        assert await alice.ask("DELETE", tags_of(alice, tag="u.work")) == {}

    await alice.ask("PUT", tags_of(alice, tag="u.work"), {})

    assert await alice.get(tags_of(alice)) == {"tags": {"u.work": {}}}


@pytest.mark.parametrize("order", [-0.1, 1.1, "0.5", True, None, [], {}])
async def test_orders_that_are_refused(alice, order):
    answer = await alice.try_("PUT", tags_of(alice, tag="u.work"), {"order": order})

    assert answer == (400, "M_INVALID_PARAM")
    assert await alice.get(tags_of(alice)) == {"tags": {}}


async def test_names_of_tags_and_rooms_that_are_refused(alice):
    for method in ("PUT", "DELETE"):
        for tag in ("x" * 256, "ü" * 128, ""):
            assert await alice.try_(method, tags_of(alice, tag=tag), {}) == (400, "M_INVALID_PARAM")
        assert await alice.try_(method, tags_of(alice, "nothing", "u.a"), {}) == (400, "M_INVALID_PARAM")
    assert await alice.try_("GET", tags_of(alice, "nothing")) == (400, "M_INVALID_PARAM")
    assert await alice.try_("PUT", tags_of(alice, tag="u.a"), []) == (400, "M_BAD_JSON")
    assert await alice.try_("PUT", tags_of(alice, tag="x" * 255), {}) == (200, {})


async def test_deletion_is_announced(rooms_server):
    _, answer = await rooms_server.call("GET", V3.removesuffix("/v3") + "/versions")

    assert answer["unstable_features"]["org.matrix.msc3391"] is True
