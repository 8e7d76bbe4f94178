"""A process of its own that claims one-time keys as fast as it can, until there are only fallback keys.

Usage: claiming_process.py DSN ALGORITHM USER_ID DEVICE_ID... It says `ready`, waits for a line, and prints
the IDs of the keys that it was given, as JSON: [device ID, key ID] of each.
"""

import asyncio
import json
import sys

from storage.pool import Database
from storage.tables import one_time_keys

AT_ONCE = 4


async def claim_all(database, asked, claimed):
    """Claim a key of each device until none gives a one-time key."""
    while True:
        some = await one_time_keys.claim(database, asked)
        claimed += [(one.device_id, one.key_id) for one in some]
        if {one.key_id for one in some} == {"F"}:
            return


async def main(dsn, algorithm, user_id, *device_ids):
    database = await Database.open(dsn, pool_size_min=AT_ONCE, pool_size_max=AT_ONCE)
    asked = [(user_id, device_id, algorithm) for device_id in device_ids]
    print("ready", flush=True)  # noqa: T201 - whoever started it reads this
    sys.stdin.readline()
    claimed = []
    await asyncio.gather(*(claim_all(database, asked, claimed) for _ in range(AT_ONCE)))
    await database.close()
    print(json.dumps(claimed), flush=True)  # noqa: T201 - the same


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
