"""One directory of several regions, page by page."""

import pytest

from homeserver.core.errors import InvalidParam, RemoteRefused, Unavailable
from homeserver.rooms.directory import DirectoryPage, DirectoryRequest
from homeserver.rooms.shared_directory import SharedDirectory


class Rooms:
    """A directory of some rooms, whose tokens say where to go on."""

    def __init__(self, *names):
        self.names = names
        self.asked = []

    async def page(self, request):
        self.asked.append(request)
        start = int((request.since or "f0").lstrip("f"))
        end = start + request.limit
        chunk = [{"room_id": name} for name in self.names[start:end]]
        return DirectoryPage(chunk, f"f{end}" if end < len(self.names) else None, None, len(self.names))


class Elsewhere:
    def __init__(self, **regions):
        self.regions = regions

    async def page(self, server, request):
        region = self.regions[server]
        if isinstance(region, Exception):
            raise region
        return await region.page(request)


def shared(own, **regions):
    return SharedDirectory(published=own, elsewhere=Elsewhere(**regions), regions=list(regions))


async def pages(directory, limit, **wanted):
    found, since = [], None
    for _ in range(50):
        page = await directory.page(DirectoryRequest(limit, since, **wanted))
        found.append([entry["room_id"] for entry in page.chunk])
        since = page.next_batch
        if since is None:
            return found
    raise AssertionError("it does not end")


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 100])
async def test_every_room_is_on_one_page_whatever_their_size(limit):
    directory = shared(Rooms("a", "b", "c"), one=Rooms("d", "e", "f", "g"), two=Rooms(), three=Rooms("h"))
    found = await pages(directory, limit)

    assert [name for page in found for name in page] == list("abcdefgh")
    assert all(len(page) <= limit for page in found)


async def test_a_room_of_several_regions_is_on_a_page_once():
    found = await pages(shared(Rooms("a"), one=Rooms("a", "b"), two=Rooms("b")), 100)

    assert found == [["a", "b"]]


@pytest.mark.parametrize("error", [Unavailable("Gone."), RemoteRefused(403, "M_FORBIDDEN", "No.")])
async def test_a_region_that_does_not_answer_is_left_out(error):
    assert await pages(shared(Rooms("a"), one=error, two=Rooms("b")), 100) == [["a", "b"]]


async def test_what_is_wanted_is_asked_of_all():
    one = Rooms("b")
    await pages(shared(Rooms("a"), one=one), 100, search_term="x", room_types=(None,))

    assert (one.asked[0].search_term, one.asked[0].room_types, one.asked[0].limit) == ("x", (None,), 99)


async def test_a_region_that_never_ends_is_left():
    class Endless(Rooms):
        async def page(self, request):
            return DirectoryPage((), "f1", None, 0)

    assert await pages(shared(Rooms("a"), one=Endless(), two=Rooms("b")), 100) == [["a", "b"]]


async def test_a_token_of_a_region_that_there_is_not_is_refused():
    with pytest.raises(InvalidParam):
        await shared(Rooms("a"), one=Rooms()).page(DirectoryRequest(10, "r1_"))


async def test_rooms_of_other_networks_are_not_asked_for():
    one = Rooms("b")
    await pages(shared(Rooms(), one=one), 10, network="irc")

    assert one.asked == []


async def test_a_region_that_says_the_same_again_and_again_is_not_asked_without_end():
    class Parrot(Rooms):
        async def page(self, request):
            self.asked.append(request)
            return DirectoryPage([{"room_id": "b"}], "same", None, 1)

    one = Parrot()
    page = await shared(Rooms("a"), one=one).page(DirectoryRequest(100))

    assert [entry["room_id"] for entry in page.chunk] == ["a", "b"]
    assert len(one.asked) == 20
