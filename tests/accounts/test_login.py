from homeserver.accounts.passwords import Passwords
from storage.tables import accounts
from tests.doubles.accounts import PASSWORD, AccountsServer


async def test_a_password_is_hashed_again_when_its_costs_have_changed(database):
    server = AccountsServer(database)
    await server.register("alice")
    dearer = Passwords(memory_kib=16, time_cost=1)
    server.logins._passwords = dearer

    before = (await accounts.find(database, "@alice:localhost")).password_hash
    await server.logins.user_with_password("alice", PASSWORD)
    after = (await accounts.find(database, "@alice:localhost")).password_hash

    assert dearer.is_outdated(before)
    assert not dearer.is_outdated(after)
    assert (await server.login("alice"))[0] == 200
    await dearer.close()
    await server.close()
