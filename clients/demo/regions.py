"""`make demo-regions`: three regions on this machine, a user in each, and one room in which all talk."""

import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from clients.demo.region_servers import RegionServer, make_regions, start_all
from clients.load.api import MatrixApi

__all__ = ["main"]

_PEOPLE = {"europe.example": "anna", "america.example": "ben", "asia.example": "chi"}
_PATIENCE_S = 30


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class _Person:
    """A user, and what a client of theirs has seen of the room."""

    def __init__(self, http: aiohttp.ClientSession, region: RegionServer) -> None:
        self.region = region
        self.api = MatrixApi(http, region.base_url)
        self.seen: list[tuple[str, str]] = []
        self._since: str | None = None

    async def hear(self, body: str) -> float:
        """Sync until something was said; returns the seconds that took.

        Raises:
            RuntimeError: nobody says it.
        """
        began_s = time.monotonic()
        while body not in [each for _, each in self.seen]:
            if time.monotonic() - began_s > _PATIENCE_S:
                raise RuntimeError(f"{self.api.user_id} has not heard {body!r}.")
            self._take(await self.api.sync(self._since, 1_000))
        return time.monotonic() - began_s

    def _take(self, told: dict[str, Any]) -> None:
        self._since = told["next_batch"]
        for room in told.get("rooms", {}).get("join", {}).values():
            events = room.get("timeline", {}).get("events", ())
            self.seen += [(each["sender"], each["content"]["body"]) for each in events if _is_said(each)]


def _is_said(event: dict[str, Any]) -> bool:
    return event["type"] == "m.room.message" and "body" in event["content"]


async def _gather(people: list[_Person]) -> str:
    """All come into a room that the first makes; returns its ID."""
    first, *others = people
    body = {"preset": "public_chat", "name": "All regions", "room_alias_name": "all", "visibility": "public"}
    room_id = str((await first.api.call("POST", "/_matrix/client/v3/createRoom", body))["room_id"])
    alias = f"#all:{first.region.name}"
    _say(f"\n{first.api.user_id} makes {alias}")
    for one in others:
        began_s = time.monotonic()
        await one.api.call("POST", f"/_matrix/client/v3/join/{quote(alias, safe='')}", {})
        _say(f"{one.api.user_id} joins it: {1000 * (time.monotonic() - began_s):.0f} ms")
    return room_id


async def _talk(people: list[_Person], room_id: str, words: str) -> None:
    """Each says something, and all others hear it."""
    for one in people:
        body = f"{words} from {one.region.name}"  # said once, so it names the transaction too
        others = [other for other in people if other is not one]
        hearing = [asyncio.create_task(other.hear(body)) for other in others]
        await one.api.send(room_id, body.replace(" ", "-"), body)
        seconds = await asyncio.gather(*hearing)
        heard = ", ".join(
            f"{other.region.name} after {1000 * each:.0f} ms"
            for other, each in zip(others, seconds, strict=True)
        )
        _say(f"{one.api.user_id}: {body!r}; heard in {heard}")
        await one.hear(body)


async def _lose_one(people: list[_Person], room_id: str) -> None:
    """The last region dies; the others talk on; it comes back and has it all."""
    *others, lost = people
    _say(f"\n{lost.region.name} is killed (kill -9), and the others talk on")
    lost.region.kill()
    await _talk(others, room_id, "While you were away,")
    _show_status(others[0].region)
    lost.region.begin()
    await asyncio.to_thread(lost.region.wait)
    for one in others:
        await lost.hear(f"While you were away, from {one.region.name}")
    _say(f"{lost.region.name} is back, and {lost.api.user_id} has read all of it")
    await _talk(people, room_id, "Together again,")


def _show_status(region: RegionServer) -> None:
    _say(f"\n$ homeserver region status   # at {region.name}\n{region.status()}")


async def _show(regions: list[RegionServer]) -> None:
    async with aiohttp.ClientSession() as http:
        people = [_Person(http, region) for region in regions]
        for one in people:
            await one.api.register(_PEOPLE[one.region.name], None)
        room_id = await _gather(people)
        await _talk(people, room_id, "Hello")
        await _lose_one(people, room_id)
        same = [sorted(one.seen) for one in people]
        if any(each != same[0] for each in same):
            raise RuntimeError(f"They have not seen the same: {same}")
        _say(f"\nAll three have seen the same {len(same[0])} messages.")
    _show_status(regions[0])


def main() -> None:
    """Show it; then let people try it themselves, unless `--once` is given."""
    directory = Path(tempfile.mkdtemp(prefix="isthmus-regions-"))
    directory.chmod(0o755)
    regions = make_regions(directory, *_PEOPLE)
    try:
        began_s = time.monotonic()
        start_all(regions)
        _say(f"Three regions with three databases run after {time.monotonic() - began_s:.1f} s:")
        for one in regions:
            _say(f"  {one.name:16} {one.base_url}")
        asyncio.run(_show(regions))
        if "--once" not in sys.argv[1:]:
            _say("\nThey run on until Ctrl-C. Register with any client at one of the addresses above,")
            _say(f"and join #all:{regions[0].name}.")
            for one in regions:
                if one.process is not None:
                    one.process.wait()
    except KeyboardInterrupt:
        _say("")
    finally:
        for one in regions:
            one.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
