"""What the first window of sliding sync costs: `python -m tests.benchmarks.sliding_window`.

An account in 100 rooms asks as common clients do at their start: 20 rooms, one event of each, and the
state by which rooms are shown. CPU is that of the server and of PostgreSQL together, without the socket.
Fails if it is over the goal.
"""

import orjson
import uvloop

from tests.benchmarks.account_in_rooms import Table, account_in

ROOMS = 100
GOAL_MS = 40
ROUNDS = 30
RESTARTS = 10
PATH = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
REQUIRED_STATE = [
    ["m.room.name", ""], ["m.room.encryption", ""], ["m.room.member", "$LAZY"], ["m.room.member", "$ME"],
    ["m.room.topic", ""], ["m.room.avatar", ""], ["m.room.canonical_alias", ""], ["m.room.power_levels", ""],
    ["org.matrix.msc3401.call.member", "*"], ["m.room.join_rules", ""], ["m.room.tombstone", ""],
    ["m.room.create", ""], ["m.room.history_visibility", ""], ["io.element.functional_members", ""],
    ["m.space.parent", "*"], ["m.space.child", "*"], ["org.matrix.msc3672.beacon_info", "*"],
]  # fmt: skip
EXTENSIONS = {
    "account_data": {"enabled": True}, "receipts": {"enabled": True, "rooms": ["*"]},
    "typing": {"enabled": True},
}  # fmt: skip


def window(last, timeline_limit=1):
    """The body of a request for the rooms up to a place."""
    asked = {"ranges": [[0, last]], "timeline_limit": timeline_limit, "required_state": REQUIRED_STATE}
    return orjson.dumps({"conn_id": "room-list", "lists": {"all_rooms": asked}, "extensions": EXTENSIONS})


async def main():
    table = Table()
    async with account_in(ROOMS) as account:
        for state, rounds, restarts in (("after a restart", RESTARTS, True), ("again", ROUNDS, False)):
            for what, body, goal in (
                ("20 rooms", window(19), GOAL_MS),
                ("20 rooms, 20 events of each", window(19, 20), None),
                ("all 100 rooms", window(99), None),
            ):
                cost = await account.cost("POST", PATH, body, rounds=rounds, restarts=restarts)
                table.add(f"first window, {what}, {state}", cost, goal)
    table.close()


if __name__ == "__main__":
    uvloop.run(main())
