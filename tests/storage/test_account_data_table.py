from homeserver.core.changes import AccountDataChange
from storage.tables import account_data
from storage.write import Write

ALICE, BOB = "@alice:example.org", "@bob:example.org"
ROOM = "!room:example.org"


def plain(changes):
    return [(each.position, each.user_id, each.room_id, each.type, each.content) for each in changes]


async def write(journal, *rows):
    """Write all rows as one flush, each as a write of its own."""
    futures = []
    for row in rows:
        each = Write()
        account_data.add(each, AccountDataChange(*row))
        futures.append(journal.append(each))
    for future in futures:
        await future


async def test_rows_are_read_by_user_place_and_position(database, journal):
    await write(
        journal,
        (1, ALICE, None, "a", b"{}"),
        (2, ALICE, ROOM, "a", b'{"n":2}'),
        (3, BOB, None, "a", b'{"n":3}'),
        (4, ALICE, None, "b", b'{"n":4}'),
        (5, ALICE, "!other:example.org", "a", b'{"n":5}'),
    )
    await write(journal, (6, ALICE, None, "a", None), (7, ALICE, ROOM, "b", None))
    room, b = (2, ALICE, ROOM, "a", b'{"n":2}'), (4, ALICE, None, "b", b'{"n":4}')
    other = (5, ALICE, "!other:example.org", "a", b'{"n":5}')
    gone = [(6, ALICE, None, "a", None), (7, ALICE, ROOM, "b", None)]

    assert plain(await account_data.of_types(database, ALICE, ["a", "b", "c"])) == [b, gone[0]]
    assert plain(await account_data.changes_after(database, ALICE, 0)) == [room, b, other, *gone]
    assert plain(await account_data.changes_after(database, ALICE, 5)) == gone
    assert plain(await account_data.of_rooms(database, ALICE, [ROOM])) == [room, gone[1]]
    assert await account_data.of_rooms(database, BOB, [ROOM]) == []
    assert await account_data.find(database, ALICE, ROOM, "a") == b'{"n":2}'
    assert await account_data.find(database, ALICE, None, "a") is None
    assert await account_data.find(database, ALICE, None, "never") is None
    assert await account_data.find(database, BOB, None, "a") == b'{"n":3}'


async def test_what_others_take_is_counted(database, journal):
    assert await account_data.usage_beside(database, ALICE, None, "a") == (0, 0)
    await write(
        journal, (1, ALICE, None, "a", b"123"), (2, ALICE, ROOM, "a", b"4567"), (3, ALICE, None, "b", None),
        (4, BOB, None, "a", b"other"),
    )  # fmt: skip

    assert await account_data.usage_beside(database, ALICE, None, "a") == (2, 4)
    assert await account_data.usage_beside(database, ALICE, ROOM, "a") == (2, 3)
    assert await account_data.usage_beside(database, ALICE, None, "new") == (3, 7)


async def test_the_highest_position_wins_in_one_flush_and_over_flushes(database, journal):
    await write(journal, (5, ALICE, None, "a", b"5"), (6, ALICE, None, "a", b"6"))
    assert await account_data.find(database, ALICE, None, "a") == b"6"

    await write(journal, (4, ALICE, None, "a", b"late"))
    assert await account_data.find(database, ALICE, None, "a") == b"6"
    await write(journal, (7, ALICE, None, "a", b"7"))

    assert await account_data.find(database, ALICE, None, "a") == b"7"


async def test_a_change_is_published_once_it_is_durable(journal, witness):
    await write(journal, (1, ALICE, None, "a", b"{}"))

    assert witness.positions == [1]
