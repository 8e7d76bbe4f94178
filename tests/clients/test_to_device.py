"""Messages to devices through the whole server: sent once, kept until got, gone with their device."""

import asyncio
from urllib.parse import quote

import orjson
import pytest

from clients.websocket.connection import Connection
from clients.websocket.connection import Services as WebSocketServices
from homeserver.config.model import ToDeviceSection
from homeserver.e2ee import to_device as sending
from homeserver.e2ee.to_device import InboxFull, RemoteMessagesDropped
from homeserver.runtime.tasks import Tasks
from tests.doubles.rooms import PASSWORD, User

TYPE = "m.test"


async def login(user, device_id):
    """Log in on another device."""
    body = {
        "type": "m.login.password", "identifier": {"type": "m.id.user", "user": user.user_id},
        "password": PASSWORD, "device_id": device_id,
    }  # fmt: skip
    status, answer = await user.server.call("POST", "/_matrix/client/v3/login", body)
    assert status == 200, answer
    return User(user.server, answer)


def path(transaction_id, event_type=TYPE):
    return f"/sendToDevice/{quote(event_type, safe='')}/{quote(transaction_id, safe='')}"


async def send(user, to, transaction_id=None, event_type=TYPE):
    """Send; `to` maps user IDs to device IDs to content."""
    name = transaction_id or f"t{next(user.server.transactions)}"
    return await user.try_("PUT", path(name, event_type), {"messages": to})


async def sync(user, since=None, timeout_ms=0):
    """Sync; returns the token and the contents of what was told."""
    query = f"timeout={timeout_ms}" + ("" if since is None else f"&since={quote(since)}")
    answer = await user.get(f"/sync?{query}")
    return answer["next_batch"], answer.get("to_device", {}).get("events", [])


def event(sender, content, event_type=TYPE):
    return {"type": event_type, "sender": sender.user_id, "content": content}


async def waiting(server):
    (count,) = await server.database.fetch_one("SELECT count(*) FROM device_inboxes")
    return count


@pytest.fixture
async def phone(bob):
    return await login(bob, "PHONE")


@pytest.fixture
async def laptop(bob):
    return await login(bob, "LAPTOP")


async def test_each_device_gets_its_message_and_no_other(alice, bob, phone, laptop):
    to = {bob.user_id: {"PHONE": {"n": 1}, "LAPTOP": {"n": 2}, "TOASTER": {"n": 3}}}
    assert await send(alice, to) == (200, {})

    assert (await sync(phone))[1] == [event(alice, {"n": 1})]
    assert (await sync(laptop))[1] == [event(alice, {"n": 2})]
    assert (await sync(bob))[1] == []
    assert (await sync(alice))[1] == []


async def test_a_star_is_every_device_that_is_not_named(alice, bob, phone, laptop):
    to = {bob.user_id: {"*": {"n": 1}, "LAPTOP": {"n": 2}}, alice.user_id: {"*": {"n": 3}}}
    to["@nobody:localhost"] = {"*": {}}
    assert await send(alice, to) == (200, {})

    assert (await sync(phone))[1] == (await sync(bob))[1] == [event(alice, {"n": 1})]
    assert (await sync(laptop))[1] == [event(alice, {"n": 2})]
    assert (await sync(alice))[1] == [event(alice, {"n": 3})]


async def test_a_repetition_is_not_sent_again_whatever_happened_between(rooms_server, alice, bob, phone):
    to = {bob.user_id: {"PHONE": {"n": 1}}}
    answers = await asyncio.gather(*[send(alice, to, "once") for _ in range(5)])
    assert answers == [(200, {})] * 5
    await rooms_server.restart()
    assert await send(alice, to, "once") == (200, {})
    since, events = await sync(phone)
    assert events == [event(alice, {"n": 1})]
    await sync(phone, since)
    assert await send(alice, to, "once") == (200, {})
    assert (await sync(phone, since))[1] == []

    # Of another type, or from another device, it is another one.
    assert await send(alice, to, "once", "m.other") == (200, {})
    assert await send(bob, to, "once") == (200, {})
    assert await send(phone, to, "once") == (200, {})
    assert len((await sync(phone, since))[1]) == 3


async def test_what_waits_survives_a_restart_in_its_order(rooms_server, alice, bob, phone):
    since, _ = await sync(phone)
    for number in range(150):
        await send(alice, {bob.user_id: {"PHONE": {"n": number}}})
    await rooms_server.restart()

    found = []
    for _ in range(3):
        since, events = await sync(phone, since, timeout_ms=30_000 if len(found) < 150 else 0)
        found += [each["content"]["n"] for each in events]
        await rooms_server.restart()
    assert found == list(range(150))
    await sync(phone, since)
    await rooms_server.restart()
    assert await waiting(rooms_server) == 0


async def test_a_poll_wakes_as_soon_as_it_is_sent(alice, bob, phone):
    since, _ = await sync(phone)
    poll = asyncio.create_task(sync(phone, since, timeout_ms=30_000))
    await asyncio.sleep(0)
    await send(alice, {bob.user_id: {"PHONE": {}}})

    assert (await poll)[1] == [event(alice, {})]


async def test_it_is_deleted_with_its_device_and_the_next_has_none(rooms_server, alice, bob, phone):
    await sync(phone)
    await send(alice, {bob.user_id: {"PHONE": {"n": 1}}})
    await send(phone, {alice.user_id: {"*": {"n": 2}}}, "once")
    await phone.ask("POST", "/logout")
    assert await waiting(rooms_server) == 1  # Alice's

    again = await login(bob, "PHONE")
    assert (await sync(again))[1] == []
    await send(alice, {bob.user_id: {"PHONE": {"n": 3}}})
    assert (await sync(again))[1] == [event(alice, {"n": 3})]
    await send(again, {alice.user_id: {"*": {"n": 4}}}, "once")  # not what the first device sent
    assert [each["content"]["n"] for each in (await sync(alice))[1]] == [2, 4]


async def test_what_comes_too_late_for_a_device_is_not_for_its_successor(rooms_server, bob, phone):
    await phone.ask("POST", "/logout")
    await rooms_server.database.execute(
        "INSERT INTO to_device (position, user_id, device_id, message) VALUES (1, %b, 'PHONE', '{}')",
        bob.user_id,
    )

    assert (await sync(await login(bob, "PHONE")))[1] == []


async def test_users_do_not_hear_from_those_they_ignore(rooms_server, alice, bob, phone):
    content = {"ignored_users": {alice.user_id: {}}}
    list_path = f"/user/{quote(bob.user_id)}/account_data/m.ignored_user_list"
    await bob.ask("PUT", list_path, content)
    for restarts in (False, True):
        if restarts:
            await rooms_server.restart()
        assert await send(alice, {bob.user_id: {"*": {"n": 1}}}) == (200, {})
    await send(bob, {bob.user_id: {"PHONE": {"n": 2}}})
    await bob.ask("PUT", list_path, {"ignored_users": {}})
    await send(alice, {bob.user_id: {"PHONE": {"n": 3}}})

    assert [each["content"]["n"] for each in (await sync(phone))[1]] == [2, 3]


async def test_an_inbox_has_a_bound_and_takes_more_once_it_is_fetched(rooms_server, alice, bob, phone):
    rooms_server.configuration = replace_section(rooms_server.configuration, messages_per_device_max=5)
    await rooms_server.restart()
    observed = watch(rooms_server)
    for number in range(8):
        assert await send(alice, {bob.user_id: {"PHONE": {"n": number}}}) == (200, {})
    since, events = await sync(phone)
    assert [each["content"]["n"] for each in events] == list(range(5))
    assert observed.count(InboxFull(1)) == 3

    await sync(phone, since)
    await rooms_server.restart()  # which deletes what was got, and counts anew
    await send(alice, {bob.user_id: {"PHONE": {"n": 9}}})
    assert [each["content"]["n"] for each in (await sync(phone, since))[1]] == [9]


async def test_messages_to_users_of_other_servers_are_dropped_and_said_so(rooms_server, alice, bob, phone):
    observed = watch(rooms_server)
    to = {"@eve:elsewhere.org": {"*": {}}, bob.user_id: {"PHONE": {}}}

    assert await send(alice, to) == (200, {})
    assert observed == [RemoteMessagesDropped(1)]
    assert len((await sync(phone))[1]) == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{}", (400, "M_MISSING_PARAM")),
        (b'{"messages":[]}', (400, "M_BAD_JSON")),
        (b'{"messages":{"@bob:localhost":[]}}', (400, "M_BAD_JSON")),
        (b'{"messages":{"@bob:localhost":{"PHONE":1}}}', (400, "M_BAD_JSON")),
        (b'{"messages":{"bob":{}}}', (400, "M_INVALID_PARAM")),
        (b'{"messages":{"@bob:localhost":{"PHONE":{"n":"\\ud800"}}}}', (400, "M_NOT_JSON")),
        (b'{"messages":{"@bob:localhost":{"PHONE":{"n":123456789012345678901234567}}}}', (200, {})),
        (b'{"messages":{"@bob:localhost":{"*":{"t":"%b"}}}}' % (b"x" * 70_000), (413, "M_TOO_LARGE")),
        (b'{"messages":{}}', (200, {})),
    ],
)
async def test_what_cannot_be_sent(alice, bob, phone, body, expected):
    assert await alice.try_("PUT", path("t"), body) == expected
    for _, content in [await sync(phone)]:
        assert len(content) == (expected[0] == 200 and b"PHONE" in body)


async def test_names_have_bounds(alice):
    for transaction_id, event_type in (("x" * 256, TYPE), ("x", "x" * 256), ("\0", TYPE)):
        assert await send(alice, {}, transaction_id, event_type) == (400, "M_INVALID_PARAM")
    assert await send(alice, {}, "100% ä|~", "100% ä|~") == (200, {})


async def test_one_request_has_bounds(monkeypatch, alice, bob, phone, laptop):
    monkeypatch.setattr(sending, "MESSAGES_PER_REQUEST_MAX", 2)
    assert await send(alice, {bob.user_id: {"*": {}}}) == (413, "M_TOO_LARGE")
    assert await send(alice, {bob.user_id: {"PHONE": {}, "LAPTOP": {}}}) == (200, {})
    monkeypatch.setattr(sending, "BYTES_PER_REQUEST_MAX", 100)
    assert await send(alice, {bob.user_id: {"PHONE": {"t": "x" * 99}}}) == (413, "M_TOO_LARGE")
    monkeypatch.setattr(sending, "USERS_PER_REQUEST_MAX", 1)
    assert await send(alice, {bob.user_id: {}, alice.user_id: {}}) == (413, "M_TOO_LARGE")


async def test_a_percent_sign_in_names_is_itself(alice, bob, phone):
    await send(alice, {bob.user_id: {"PHONE": {"n": "%b"}}}, "t", "m.100%d")

    assert (await sync(phone))[1] == [event(alice, {"n": "%b"}, "m.100%d")]


class Wire:
    """Keeps the frames; says when there are some."""

    def __init__(self):
        self.frames = asyncio.Queue()

    def send(self, frame):
        self.frames.put_nowait(orjson.loads(frame))

    def close(self, code, reason):
        self.frames.put_nowait({"closed": code})

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


async def test_a_websocket_deletes_what_its_client_acknowledges(rooms_server, alice, bob, phone):
    services = rooms_server.services
    tasks = Tasks(rooms_server._observe)
    shared = WebSocketServices(
        responder=rooms_server.dispatcher, authenticator=services.access_tokens, sync=services.sync,
        filters=services.filters, tasks=tasks,
    )  # fmt: skip
    for number in range(3):
        await send(alice, {bob.user_id: {"PHONE": {"n": number}}})
    wire = Wire()
    connection = Connection(shared, wire, access_token=phone.token)
    connection.message(b'{"sync":{}}')
    first = await wire.frames.get()
    await send(alice, {bob.user_id: {"PHONE": {"n": 3}}})
    second = await wire.frames.get()
    deltas = [first["sync"], second["sync"]]
    numbers = [[one["content"]["n"] for one in each["to_device"]["events"]] for each in deltas]
    assert numbers == [[0, 1, 2], [3]]

    connection.message(orjson.dumps({"ack": deltas[0]["next_batch"]}))
    connection.close()
    await tasks.close()
    await rooms_server.restart()
    assert await waiting(rooms_server) == 1
    assert [each["content"]["n"] for each in (await sync(phone, deltas[0]["next_batch"]))[1]] == [3]


def replace_section(configuration, **values):
    return type(configuration)(
        **{name: getattr(configuration, name) for name in configuration.__dataclass_fields__}
        | {"to_device": ToDeviceSection(**values)}
    )


def watch(server):
    """Keep what the sending observes."""
    observed = []
    service = server.services.encryption.to_device
    service._observer = service._remote._observer = observed.append
    return observed
