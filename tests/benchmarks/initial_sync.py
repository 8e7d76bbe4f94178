"""What an initial `/sync` costs: `python -m tests.benchmarks.initial_sync`, run by `make bench-sync`.

An account in 100 rooms of 20 members and 20 messages each asks for everything. CPU is that of the server and
of PostgreSQL together, without the socket. Fails if it is over the goal.
"""

from urllib.parse import quote

import uvloop

from tests.benchmarks.account_in_rooms import Table, account_in

ROOMS = 100
GOAL_MS = 100
ROUNDS = 10
RESTARTS = 5
SYNC = "/_matrix/client/v3/sync"
LIMIT = '"timeline":{"limit":20}'
WHOLE = quote(f'{{"room":{{{LIMIT}}}}}')
LAZY = quote(f'{{"room":{{{LIMIT},"state":{{"lazy_load_members":true}}}}}}')


async def main():
    table = Table()
    async with account_in(ROOMS) as account:
        for what, wanted, goal in (
            ("all members", WHOLE, GOAL_MS),
            ("lazy-loading", LAZY, GOAL_MS),
        ):
            for state, rounds, restarts in (("after a restart", RESTARTS, True), ("again", ROUNDS, False)):
                cost = await account.cost("GET", f"{SYNC}?filter={wanted}", rounds=rounds, restarts=restarts)
                table.add(f"initial /sync, {what}, {state}", cost, goal)
    table.close()


if __name__ == "__main__":
    uvloop.run(main())
