"""Sending what points at other events, and reading it back, as a `tests.doubles.rooms.User`."""

from urllib.parse import quote

V1 = "/_matrix/client/v1"


async def relate(user, room, parent, rel_type, *, event_type="m.room.message", **content):
    """Send an event that points at another; returns its ID."""
    content = {"msgtype": "m.text", "body": "child", **content}
    content["m.relates_to"] = {"rel_type": rel_type, "event_id": parent}
    return (await user.ask("PUT", user.send_path(room, None, event_type), content))["event_id"]


async def edit(user, room, parent, text, **more):
    """Send an edit; returns its ID."""
    new = {"msgtype": "m.text", "body": text}
    return await relate(
        user, room, parent, "m.replace", **{"m.new_content": new, "body": f"* {text}", **more}
    )


async def reply(user, room, root, text="reply"):
    """Send an event of a thread; returns its ID."""
    return await relate(user, room, root, "m.thread", body=text)


async def react(user, room, parent, key="👍"):
    """Send a reaction; returns its ID."""
    content = {"m.relates_to": {"rel_type": "m.annotation", "event_id": parent, "key": key}}
    return (await user.ask("PUT", user.send_path(room, None, "m.reaction"), content))["event_id"]


async def try_v1(user, room, rest):
    """Ask for something under version 1 of a room; returns the status, and the errcode or the whole body."""
    path = f"{V1}/rooms/{quote(room)}/{rest}"
    status, answer = await user.server.call("GET", path, token=user.token)
    return status, answer.get("errcode", answer)


async def get_v1(user, room, rest):
    status, answer = await try_v1(user, room, rest)
    assert status == 200, answer
    return answer


async def relations(user, room, parent, rest="", query=""):
    """Read a page of the events that point at one."""
    return await get_v1(user, room, f"relations/{quote(parent, safe='')}{rest}{query}")


def ids(events):
    return [event["event_id"] for event in events]


def bundle(event):
    """Take what is bundled with an event."""
    return event.get("unsigned", {}).get("m.relations", {})
