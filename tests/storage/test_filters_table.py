from storage.tables import accounts, filters


async def test_the_same_filter_is_stored_once_and_belongs_to_its_user(database):
    for user_id in ("@alice:localhost", "@bob:localhost"):
        await accounts.create(database, accounts.AccountRow(user_id, None, False, None, 1))  # noqa: FBT003

    first = await filters.create(database, "@alice:localhost", b'{"room":{}}')
    same = await filters.create(database, "@alice:localhost", b'{"room":{}}')
    other = await filters.create(database, "@bob:localhost", b'{"room":{}}')

    assert first == same != other
    assert await filters.find(database, "@alice:localhost", first) == b'{"room":{}}'
    assert await filters.find(database, "@alice:localhost", other) is None
