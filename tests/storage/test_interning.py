import asyncio

from storage.cache import LruCache
from storage.interning import Interning


async def test_a_text_keeps_its_number(database):
    first, second = Interning(database), Interning(database)
    nids = await first.nids("type", ["m.room.member", "m.room.name", "m.room.member"])

    assert await second.nids("type", ["m.room.name", "m.room.member"]) == nids
    assert len(set(nids.values())) == 2
    assert second.known("type", "m.room.name") == nids["m.room.name"]
    assert second.text_of("type", nids["m.room.name"]) == "m.room.name"
    assert await second.texts("type", nids.values()) == {nid: text for text, nid in nids.items()}


async def test_kinds_are_apart(database):
    interning = Interning(database)
    await interning.nid("user", "@a:b")

    assert interning.known("state_key", "@a:b") is None
    assert await interning.existing("state_key", ["@a:b"]) == {}
    assert list(await interning.existing("user", ["@a:b", "@c:d"])) == ["@a:b"]


async def test_texts_are_read_from_the_database_when_not_at_hand(database):
    nid = await Interning(database).nid("state_key", "")

    assert await Interning(database).texts("state_key", [nid, 999]) == {nid: ""}


async def test_many_who_intern_the_same_at_once_agree(database):
    texts = [f"@user{number}:example.org" for number in range(50)]
    orders = (texts, texts[::-1], texts, texts[::-1])
    found = await asyncio.gather(*[Interning(database).nids("user", order) for order in orders])

    assert all(nids == found[0] for nids in found)


def test_the_cache_forgets_what_was_used_longest_ago():
    cache = LruCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.get("a")
    cache.put("c", 3)

    assert (cache.get("a"), cache.get("b"), cache.get("c"), len(cache)) == (1, None, 3, 2)
    cache.forget("a")
    assert "a" not in cache
    cache.clear()
    assert len(cache) == 0
