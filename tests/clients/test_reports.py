"""Reporting events, rooms and users, and what admins see of it."""

import dataclasses
from urllib.parse import quote

import pytest

from homeserver.config.model import RateLimit, RateLimitsSection
from tests.doubles.rooms import RoomsServer

V3 = "/_matrix/client/v3"
ADMIN = "/_synapse/admin/v1"
BAD_JSON = (400, "M_BAD_JSON")
INVALID = (400, "M_INVALID_PARAM")
NOT_FOUND = (404, "M_NOT_FOUND")
WHY = {"reason": "this makes me sad"}


def of_event(room, event_id):
    return f"/rooms/{quote(room)}/report/{quote(event_id, safe='')}"


def of_room(room):
    return f"/rooms/{quote(room)}/report"


def of_user(user_id):
    return f"/users/{quote(user_id)}/report"


async def report(user, path, body=WHY):
    return await user.try_("POST", path, body)


async def ask(user, path, method="GET"):
    status, answer = await user.server.call(method, ADMIN + path, token=user.token)
    return status, answer.get("errcode", answer)


@pytest.fixture
async def room(alice, bob):
    room = await alice.create(preset="public_chat", name="Kitchen", room_alias_name="kitchen")
    await bob.act(room, "join")
    return room


async def test_an_event_is_reported_by_somebody_in_its_room(rooms_server, alice, bob, admin, room):
    event_id = await alice.send(room, "something sad")
    assert await report(bob, of_event(room, event_id), {**WHY, "score": -50}) == (200, {})
    _, page = await ask(admin, "/event_reports")
    (shown,) = page["event_reports"]

    received_ms = shown.pop("received_ts")
    report_id = shown["id"]
    assert isinstance(received_ms, int)
    assert shown == {
        "id": report_id, "room_id": room, "event_id": event_id, "user_id": bob.user_id,
        "sender": alice.user_id, "reason": "this makes me sad", "score": -50, "name": "Kitchen",
        "canonical_alias": "#kitchen:localhost",
    }  # fmt: skip
    assert page["total"] == 1
    assert "next_token" not in page
    _, whole = await ask(admin, f"/event_reports/{report_id}")
    event = whole.pop("event_json")
    assert whole == {**shown, "received_ts": received_ms}
    assert (event["event_id"], event["room_id"]) == (event_id, room)
    assert event["content"]["body"] == "something sad"


@pytest.mark.parametrize(
    "body", [{}, None, {"reason": None}, {"reason": ""}, {"score": "x"}, b'{"score":1%s}' % (b"0" * 30)]
)
async def test_why_an_event_is_reported_need_not_be_said(alice, bob, admin, room, body):
    event_id = await alice.send(room)

    assert await report(bob, of_event(room, event_id), body) == (200, {})
    (shown,) = (await ask(admin, "/event_reports"))[1]["event_reports"]
    assert (shown["reason"] or None, shown["score"]) == (None, None)


async def test_an_event_is_not_found_by_those_who_do_not_see_it(alice, bob, carol, admin, room):
    event_id = await alice.send(room)
    other_room = await bob.create(preset="public_chat")

    assert await report(carol, of_event(room, event_id)) == NOT_FOUND
    assert await report(bob, of_event(other_room, event_id)) == NOT_FOUND
    assert await report(bob, of_event("!nowhere:localhost", event_id)) == NOT_FOUND
    assert await report(bob, of_event(room, "$nothing")) == NOT_FOUND
    assert await report(bob, of_event("nonsense", "nonsense")) == NOT_FOUND
    await bob.act(room, "leave")
    assert await report(bob, of_event(room, event_id)) == NOT_FOUND
    assert (await ask(admin, "/event_reports"))[1] == {"event_reports": [], "total": 0}


async def test_an_event_from_before_somebody_joined_is_not_found_where_it_is_hidden(alice, carol, room):
    await alice.set_state(room, "m.room.history_visibility", {"history_visibility": "joined"})
    hidden = await alice.send(room)
    await carol.act(room, "join")
    seen = await alice.send(room)

    assert await report(carol, of_event(room, hidden)) == NOT_FOUND
    assert await report(carol, of_event(room, seen)) == (200, {})


async def test_a_room_is_reported_by_anybody(carol, admin, room):
    assert await report(carol, of_room(room), {"reason": ""}) == (200, {})
    (shown,) = (await ask(admin, "/room_reports"))[1]["room_reports"]

    assert shown.pop("received_ts") > 0
    assert shown == {
        "id": shown["id"], "room_id": room, "user_id": carol.user_id, "reason": "", "name": "Kitchen",
        "canonical_alias": "#kitchen:localhost",
    }  # fmt: skip
    assert (await ask(admin, f"/room_reports/{shown['id']}"))[1]["room_id"] == room


async def test_a_user_is_reported_by_anybody(alice, carol, admin):
    assert await report(carol, of_user(alice.user_id)) == (200, {})
    (shown,) = (await ask(admin, "/user_reports"))[1]["user_reports"]

    assert shown.pop("received_ts") > 0
    assert shown == {
        "id": shown["id"], "target_user_id": alice.user_id, "user_id": carol.user_id,
        "reason": "this makes me sad",
    }  # fmt: skip
    assert (await ask(admin, f"/user_reports/{shown['id']}"))[1]["target_user_id"] == alice.user_id


async def test_rooms_and_users_that_are_not_there_are_not_found(alice):
    assert await report(alice, of_room("!nowhere:localhost")) == NOT_FOUND
    assert await report(alice, of_room("nonsense")) == NOT_FOUND
    assert await report(alice, of_user("@nobody:localhost")) == NOT_FOUND
    assert await report(alice, of_user("@nobody:elsewhere.org")) == NOT_FOUND
    assert await report(alice, of_user("nonsense")) == INVALID


async def test_a_user_of_another_server_who_was_seen_here_is_reported(alice, room):
    await alice.act(room, "ban", user_id="@mallory:elsewhere.org")

    assert await report(alice, of_user("@mallory:elsewhere.org")) == (200, {})


@pytest.mark.parametrize("body", [{}, None, {"reason": None}, {"reason": 1}, []])
async def test_why_a_room_or_a_user_is_reported_must_be_said(alice, room, body):
    assert await report(alice, of_room(room), body) == BAD_JSON
    assert await report(alice, of_user(alice.user_id), body) == BAD_JSON


async def test_reasons_have_a_limit_and_may_hold_anything(alice, admin, room):
    event_id = await alice.send(room)
    for path in (of_event(room, event_id), of_room(room), of_user(alice.user_id)):
        assert await report(alice, path, {"reason": "x" * 1_001}) == BAD_JSON
        assert await report(alice, path, {"reason": "\U0001f600" * 1_000}) == (200, {})
        assert await report(alice, path, {"reason": "nu\0l"}) == (200, {})
    page = (await ask(admin, "/room_reports"))[1]["room_reports"]
    assert page[0]["reason"] == "nu\ufffdl"


async def test_half_of_a_surrogate_pair_is_no_reason(alice, room):
    assert await report(alice, of_room(room), b'{"reason":"\\ud800"}') == (400, "M_NOT_JSON")


async def test_nobody_keeps_the_admins_busy_for_ever(alice, bob, room, monkeypatch):
    monkeypatch.setattr("homeserver.rooms.reports.REPORTS_OF_USER_MAX", 2)
    for _ in range(2):
        assert await report(alice, of_room(room)) == (200, {})

    assert await report(alice, of_room(room)) == (429, "M_LIMIT_EXCEEDED")
    assert await report(alice, of_user(bob.user_id)) == (429, "M_LIMIT_EXCEEDED")
    assert await report(bob, of_room(room)) == (200, {})


@pytest.fixture
async def five_reports(alice, bob, carol, room):
    for user, body in ((alice, "0"), (bob, "1"), (alice, "2"), (carol, "3"), (alice, "4")):
        await report(user, of_room(room), {"reason": body})


def reasons(page):
    return "".join(one["reason"] for one in page["room_reports"])


async def test_admins_read_the_newest_first_and_in_pages(admin, five_reports):
    pages, query = [], "limit=2"
    while True:
        _, page = await ask(admin, f"/room_reports?{query}")
        pages.append(reasons(page))
        assert page["total"] == 5
        if "next_token" not in page:
            break
        query = f"limit=2&from={page['next_token']}"

    assert pages == ["43", "21", "0"]
    assert reasons((await ask(admin, "/room_reports?dir=f"))[1]) == "01234"
    assert (await ask(admin, "/room_reports?limit=0"))[1] == {"room_reports": [], "total": 5}
    assert (await ask(admin, "/room_reports?from=99"))[1] == {"room_reports": [], "total": 5}


async def test_admins_look_for_reports(alice, bob, admin, room, five_reports):
    event_id = await alice.send(room)
    await report(bob, of_event(room, event_id))
    await report(bob, of_user(alice.user_id))

    assert reasons((await ask(admin, "/room_reports?user_id=alice"))[1]) == "420"
    assert reasons((await ask(admin, f"/room_reports?room_id={quote(room)}"))[1]) == "43210"
    assert reasons((await ask(admin, "/room_reports?room_id=!nowhere"))[1]) == ""
    assert (await ask(admin, "/event_reports?event_sender_user_id=alice"))[1]["total"] == 1
    assert (await ask(admin, "/event_reports?event_sender_user_id=bob"))[1]["total"] == 0
    assert (await ask(admin, "/user_reports?target_user_id=alice&user_id=bob"))[1]["total"] == 1
    assert (await ask(admin, "/user_reports?target_user_id=bob"))[1]["total"] == 0
    assert (await ask(admin, "/user_reports?user_id=%25"))[1]["total"] == 0


@pytest.mark.parametrize("kind", ["event", "room", "user"])
async def test_admins_remove_a_report_of_its_kind(alice, bob, admin, room, kind):
    event_id = await alice.send(room)
    paths = {"event": of_event(room, event_id), "room": of_room(room), "user": of_user(bob.user_id)}
    await report(alice, paths[kind])
    (shown,) = (await ask(admin, f"/{kind}_reports"))[1][f"{kind}_reports"]
    for other in {"event", "room", "user"} - {kind}:
        assert await ask(admin, f"/{other}_reports/{shown['id']}") == NOT_FOUND
        assert await ask(admin, f"/{other}_reports/{shown['id']}", "DELETE") == NOT_FOUND

    assert await ask(admin, f"/{kind}_reports/{shown['id']}", "DELETE") == (200, {})
    assert await ask(admin, f"/{kind}_reports/{shown['id']}", "DELETE") == NOT_FOUND
    assert await ask(admin, f"/{kind}_reports/{shown['id']}") == NOT_FOUND


@pytest.mark.parametrize("kind", ["event", "room", "user"])
async def test_only_admins_read_reports(alice, kind):
    for method, path in (("GET", ""), ("GET", "/1"), ("DELETE", "/1")):
        assert await ask(alice, f"/{kind}_reports{path}", method) == (403, "M_FORBIDDEN")


@pytest.mark.parametrize("path", ["?dir=x", "?from=-1", "?limit=-1", "?limit=x", "/x", "/-1", f"/{'9' * 30}"])
async def test_odd_questions_of_admins_are_refused(admin, path):
    assert await ask(admin, f"/event_reports{path}") == INVALID


async def test_reports_have_a_rate_limit_of_their_own(database, tmp_path):
    server = RoomsServer(database, tmp_path)
    limits = RateLimitsSection(report=RateLimit(0.001, 2))
    server.configuration = dataclasses.replace(server.configuration, rate_limits=limits)
    await server.start()
    try:
        alice, bob = await server.user("alice"), await server.user("bob")
        room = await alice.create()
        for path in (of_room(room), of_user(bob.user_id)):
            assert await report(alice, path) == (200, {})
        assert await report(alice, of_room(room)) == (429, "M_LIMIT_EXCEEDED")
        assert await report(bob, of_room(room)) == (200, {})
    finally:
        await server.close()
