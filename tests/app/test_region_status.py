"""What operators are shown of the other regions."""

from homeserver.app.commands.region_status import lines_of
from homeserver.core.positions import make
from storage.tables.peer_lag import PeerLag

_NOW_MS = 1_800_000_000_000


def test_a_region_that_answers_and_lacks_nothing_is_told_so():
    lines = lines_of([PeerLag("eu.example", 0, None, 0, None, None, None)], _NOW_MS)

    assert lines[0].split() == ["REGION", "STATE", "EVENTS", "FOR", "DEVICES", "OLDEST"]
    assert lines[1].split() == ["eu.example", "answers", "0", "0", "-"]


def test_a_silent_region_shows_since_when_and_what_waits():
    event, message = make(_NOW_MS - 7_260_000, 1, 0), make(_NOW_MS - 5_000, 1, 0)
    lag = PeerLag("us.example", 12, event, 3, message, _NOW_MS - 7_300_000, _NOW_MS + 4_000)

    shown = " ".join(lines_of([lag], _NOW_MS)[1].split())
    assert shown == "us.example silent for 2 h, asked again in 4 s 12 3 2 h"


def test_columns_stand_below_their_heads():
    lags = [
        PeerLag("a.example", 100_000, make(_NOW_MS - 1_000, 1, 0), 0, None, None, None),
        PeerLag("a-longer-name.example", 1, make(_NOW_MS - 90_000, 1, 0), 0, None, _NOW_MS - 1_000, 0),
    ]
    heads, *rows = lines_of(lags, _NOW_MS)

    place = heads.index("EVENTS")
    assert rows[0][place:].startswith("100000 ")
    assert rows[1][place:].startswith("1 ")
    assert rows[1].endswith("1 min")
    assert "asked again" not in rows[1]
