"""Asking for a sync and reading the answer."""

import orjson

from homeserver.core.filters import parse_filter
from homeserver.sync.request import SyncRequest, parse_since
from tests.sync.sync_world import requester

ALICE, BOB, CAROL = "@alice:example.org", "@bob:example.org", "@carol:example.org"
ROOM = "!room:example.org"


async def sync(world, user_id, since=None, wanted=None, session_id=1, **options):
    """Ask; returns the answer without the counts of keys, which every answer has."""
    answer = await sync_whole(world, user_id, since, wanted, session_id, **options)
    del answer["device_one_time_keys_count"], answer["device_unused_fallback_key_types"]
    return answer


async def sync_whole(world, user_id, since=None, wanted=None, session_id=1, **options):
    request = SyncRequest(
        requester(user_id, session_id),
        filter=parse_filter(wanted or {}),
        since=parse_since(since),
        **options,
    )
    return orjson.loads(await world.sync.respond(request))


def ids(part):
    return [event["event_id"] for event in part["events"]]
