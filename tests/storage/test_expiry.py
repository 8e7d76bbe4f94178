from homeserver.core.positions import EPOCH_MS, make
from storage.expiry import TRANSACTIONS_KEPT_MS, Expiry

NOW_MS = EPOCH_MS + 10 * TRANSACTIONS_KEPT_MS


class StoppedClock:
    def now_ms(self):
        return NOW_MS

    def monotonic_ms(self):
        return 0


async def test_transactions_are_kept_for_their_time(database, witness):
    for key, ms in (("old", NOW_MS - TRANSACTIONS_KEPT_MS - 1), ("young", NOW_MS - TRANSACTIONS_KEPT_MS)):
        await database.execute(
            "INSERT INTO transactions (session_id, key, event_id, position) VALUES (1, %b, '$1', %b::bigint)",
            key, make(ms, 0, 0),
        )  # fmt: skip

    assert await Expiry(database, StoppedClock(), witness.observe).expire() == 1
    assert await database.fetch("SELECT key FROM transactions") == [("young",)]
