"""Print what some random rooms resolve to, so that processes with different hash seeds can be compared."""

import random

from tests.core.state.worlds import resolve_lazily, resolve_whole
from tests.factory.room_moves import MOVE_BYTES, room_of


def main():
    chance = random.Random(4)
    for version in ("1", "2", "12"):
        for _ in range(40):
            moves = [chance.randbytes(MOVE_BYTES) for _ in range(25)]
            room = room_of(version, chance.randrange(16), moves, resolve_whole)
            states = [room.state_after[head] for head in room.heads]
            print(sorted(room.rejected), sorted(resolve_lazily(room, states).items()))  # noqa: T201 - read by the test


main()
