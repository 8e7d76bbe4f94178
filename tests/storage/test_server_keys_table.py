from homeserver.core.server_keys import VerifyKey
from storage.tables.server_keys import KnownServer, ServerKeys

ONE = VerifyKey(b"1" * 32, 5)
OLD = VerifyKey(b"0" * 32, 3, is_old=True)


async def test_what_is_known_of_servers_is_found_in_their_order(database):
    table = ServerKeys(database)
    await table.put("a.example", KnownServer({"ed25519:1": ONE, "ed25519:0": OLD}, 7), b"{}")
    await table.put("b.example", KnownServer({"ed25519:1": OLD}, 8), b"[]")

    assert await table.find(["b.example", "none.example", "a.example"]) == [
        KnownServer({"ed25519:1": OLD}, 8),
        KnownServer(),
        KnownServer({"ed25519:1": ONE, "ed25519:0": OLD}, 7),
    ]
    assert await table.find([]) == []


async def test_what_a_server_said_last_is_what_is_known_of_it(database):
    table = ServerKeys(database)
    await table.put("a.example", KnownServer({"ed25519:1": ONE, "ed25519:0": OLD}, 7), b"{}")
    await table.put("a.example", KnownServer({"ed25519:1": OLD}, 9), b"new")

    assert await table.find(["a.example"]) == [KnownServer({"ed25519:1": OLD}, 9)]
    assert await table.answer("a.example") == b"new"
    assert await table.answer("b.example") is None
