"""What the server says to a user by plain REST, in the form of a client's view."""

import asyncio
import json
import sys
from pathlib import Path
from urllib.parse import quote

from tests.scenarios.same_view.people import room_path

# The programs are no package: they run on other Pythons too.
sys.path.insert(0, str(Path(__file__).parent / "programs"))
from picture import Picture, kept, told

OUT_OF_SIGHT = "out of sight"
_FILTER = quote(json.dumps({"room": {"timeline": {"limit": 1}}}))


async def _history(rest, room_id):
    events, start = [], ""
    while True:
        page = await rest.get(room_path(room_id, f"messages?dir=b&limit=200{start}"))
        events += page["chunk"]
        if "end" not in page:
            return _marked([told(event) for event in reversed(events)], events)
        start = f"&from={quote(page['end'])}"


def _marked(timeline, events):
    """A timeline in which what was redacted out of the user's sight is marked: clients are not told."""
    seen = {event.get("redacts") or event["content"].get("redacts") for event in events}
    return [[*event[:4], event[4] and (event[0] in seen or OUT_OF_SIGHT)] for event in timeline]


async def _joined(rest, room_id, view):
    """What is asked room by room, instead of what sync said of it."""
    state, members, timeline = await asyncio.gather(
        rest.get(room_path(room_id, "state")),
        rest.get(room_path(room_id, "members")),
        _history(rest, room_id),
    )
    contents = {(event["type"], event["state_key"]): event["content"] for event in state}
    return view | {
        "name": contents.get(("m.room.name", ""), {}).get("name"),
        "topic": contents.get(("m.room.topic", ""), {}).get("topic"),
        "state": {f"{event['type']}|{event['state_key']}": event["event_id"] for event in state},
        "members": {
            event["state_key"]: f"{event['content']['membership']} {event['content'].get('displayname')}"
            for event in members["chunk"]
            if event["content"]["membership"] != "leave"
        },
        "timeline": timeline,
    }


async def truth_of(person):
    """All that a user's clients should know.

    Rooms, their state, members and timelines come from the endpoints of rooms, presence from its own; what no
    endpoint tells (typing, receipts, invites) comes from a first sync, which is to agree with all
    that came after others.
    """
    rest = person.rest
    first, joined = await asyncio.gather(
        rest.get(f"/v3/sync?set_presence=offline&filter={_FILTER}"), rest.get("/v3/joined_rooms")
    )
    picture = Picture()
    picture.take(first)
    view = {
        "rooms": {
            room_id: room.view()
            for room_id, room in picture.rooms.items()
            if room.membership in {"join", "invite", "knock"}
        },
        "presence": {},
        "account_data": kept(picture.account_data),
    }
    synced = {room_id for room_id, room in view["rooms"].items() if room["membership"] == "join"}
    assert synced == set(joined["joined_rooms"]), "a first sync tells of the rooms that the user is in"
    for room_id in sorted(synced):
        view["rooms"][room_id] = await _joined(rest, room_id, view["rooms"][room_id])
    for user_id in sorted(_others(view, person.user_id)):
        told_of = await rest.get(f"/v3/presence/{quote(user_id, safe='')}/status")
        view["presence"][user_id] = [told_of["presence"], told_of.get("status_msg")]
    return view


def _others(view, user_id):
    """Who shares a room with the user."""
    return {
        member
        for room in view["rooms"].values()
        for member, text in room.get("members", {}).items()
        if text.startswith("join ") and member != user_id
    }
