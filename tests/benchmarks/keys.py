"""What it costs to ask for keys and to claim them: `python -m tests.benchmarks.keys`.

On a server without a socket and a PostgreSQL of its own. Fails if a query is over its goal, which is for the
server itself.
"""

import gc
import time

import orjson
import uvloop

from tests.benchmarks import ground
from tests.benchmarks.ground import say
from tests.doubles.rooms import V3, RoomsServer
from tests.factory.crypto_user import CrossSigner, Device

USERS = 500
DEVICES_EACH = 2
ONE_TIME_KEYS_EACH = 50
QUERIES = 40
CLAIMS = 20
QUERY_GOAL_MS = 30.0
_FOUR = "text text text text"


async def fill(database):
    """Give users devices, all cross-signed, and one-time keys, straight in the tables."""
    accounts, devices, keys, one_time, signing, signatures = [], [], [], [], [], []
    for number in range(USERS):
        user_id = f"@user{number}:localhost"
        signer = CrossSigner(user_id)
        accounts.append((user_id,))
        for usage, key in signer.body().items():
            public_key = next(iter(key["keys"].values()))
            signing.append((user_id, usage.removesuffix("_key"), public_key, orjson.dumps(key)))
        for each in range(DEVICES_EACH):
            device = Device(user_id, f"DEVICE{number}X{each}")
            devices.append((user_id, device.device_id, f"Element on phone {each}"))
            keys.append((user_id, device.device_id, orjson.dumps(device.keys())))
            signed = signer.self_signing.sign(device.keys())["signatures"][user_id]
            key_id = signer.self_signing.key_id
            signatures.append((user_id, device.device_id, user_id, key_id, signed[key_id]))
            for name, key in device.one_time_keys(*map(str, range(ONE_TIME_KEYS_EACH))).items():
                algorithm, _, key_id = name.partition(":")
                one_time.append((user_id, device.device_id, algorithm, key_id, orjson.dumps(key)))
    for table, columns, types, rows in (
        ("accounts", "user_id, created_ms", "text", accounts),
        ("devices", "user_id, device_id, display_name, created_ms", "text text text", devices),
        ("device_keys", "user_id, device_id, keys", "text text bytea", keys),
        ("one_time_keys", "user_id, device_id, algorithm, key_id, key", _FOUR + " bytea", one_time),
        ("cross_signing_keys", "user_id, usage, public_key, key", "text text text bytea", signing),
        (
            "key_signatures", "user_id, target, signer_id, signer_key_id, signature",
            _FOUR + " text", signatures,
        ),
    ):  # fmt: skip
        arrays = ", ".join(f"%b::{each}[]" for each in types.split())
        now = ", 0" if "created_ms" in columns else ""
        await database.execute(
            f"INSERT INTO {table} ({columns}) SELECT *{now} FROM unnest({arrays})",
            *[list(column) for column in zip(*rows, strict=True)],
        )
    await database.execute("ANALYZE")


async def ask(server, user, path, body):
    """Ask as a user; returns the body, undecoded."""
    return await ground.ask(server, user.token, "POST", V3 + path, orjson.dumps(body))


async def measure(meter, name, times, once):
    """Do something several times; returns the CPU of the server for one of them, over all rounds."""
    await once()
    gc.collect()
    postgres_s, own_s = meter.read().postgres_s, time.process_time()
    for _ in range(times):
        body = await once()
    own_ms = (time.process_time() - own_s) * 1000 / times
    postgres_ms = (meter.read().postgres_s - postgres_s) * 1000 / times
    say(f"| {name} | {own_ms:.3g} | {postgres_ms:.3g} | {len(body):,} |")
    return own_ms


async def run(server, meter):
    """Measure; returns what was over its goal."""
    user = await server.user("alice")
    users = [f"@user{number}:localhost" for number in range(USERS)]
    query = {"device_keys": {user_id: [] for user_id in users}}
    devices = {
        user_id: {f"DEVICE{number}X{each}": "signed_curve25519" for each in range(DEVICES_EACH)}
        for number, user_id in enumerate(users)
    }
    own_upload = Device(user.user_id, (await user.get("/account/whoami"))["device_id"]).keys()
    say("| what | CPU ms | of PostgreSQL ms | bytes told |\n|---|---|---|---|")
    cpu_ms = await measure(
        meter, f"keys/query of {USERS} users, {USERS * DEVICES_EACH} devices", QUERIES,
        lambda: ask(server, user, "/keys/query", query),
    )  # fmt: skip
    server.services.keys.device_keys._sharing._is_required = True
    await measure(
        meter, "the same, with none of them in a shared room", QUERIES,
        lambda: ask(server, user, "/keys/query", query),
    )  # fmt: skip
    server.services.keys.device_keys._sharing._is_required = False
    await measure(
        meter, f"keys/claim of {USERS * DEVICES_EACH} devices", CLAIMS,
        lambda: ask(server, user, "/keys/claim", {"one_time_keys": devices}),
    )  # fmt: skip
    await measure(
        meter, "keys/upload of device keys that are there", 10 * QUERIES,
        lambda: ask(server, user, "/keys/upload", {"device_keys": own_upload}),
    )  # fmt: skip
    return [] if cpu_ms <= QUERY_GOAL_MS else [f"keys/query took {cpu_ms:.1f} of {QUERY_GOAL_MS} ms"]


async def main():
    """Start, fill, measure, stop."""
    async with ground.ground("keys") as place:
        await fill(place.database)
        server = await RoomsServer(place.database, place.directory).start()
        gc.freeze()  # as a server does at its start
        missed = await run(server, place.meter)
        await server.close()
    ground.end(missed)


if __name__ == "__main__":
    uvloop.run(main())
