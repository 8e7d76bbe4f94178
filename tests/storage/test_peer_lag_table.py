from storage.tables.destinations import Trouble, save
from storage.tables.peer_lag import PeerLag, peer_lags


async def test_servers_are_told_in_the_order_in_which_they_were_asked_for(database):
    await save(database, {"b.example": Trouble(1, 2, 3, 4)})
    for position in (7, 9):
        await database.execute(
            "INSERT INTO remote_messages (position, destination, edu) VALUES (%b::bigint, %b, %b)",
            position, "a.example", b"{}",
        )  # fmt: skip

    assert await peer_lags(database, "own.example", ["b.example", "none.example", "a.example"]) == [
        PeerLag("b.example", 0, None, 0, None, 1, 3),
        PeerLag("none.example", 0, None, 0, None, None, None),
        PeerLag("a.example", 0, None, 2, 7, None, None),
    ]
