"""A server that tells of ever more that came before: it is asked so often and no more."""

import itertools

from homeserver.core.errors import Unavailable
from homeserver.core.event.pdu import Event
from homeserver.core.pdu_verdicts import Accepted
from homeserver.core.redaction import redact
from homeserver.core.signing import content_hash, sign_json
from homeserver.rooms.ingest import QUESTIONS_MAX, Postponed
from tests.factory.room_timeline import signing_key_of

BOB = "@bob:b.example"


class Tangle:
    """Answers each question with events that raise twenty more."""

    def __init__(self, last):
        self.last = last
        self.asked = 0
        self.numbers = itertools.count()

    def orphan(self):
        before = [f"${next(self.numbers):043}" for _ in range(20)]
        pdu = {**self.last.pdu, "prev_events": before, "depth": 1_000}
        pdu["hashes"] = {"sha256": content_hash(pdu, self.last.rules)}
        redacted = redact(pdu, self.last.rules) | {"signatures": {}}
        pdu["signatures"] = sign_json(redacted, "b.example", signing_key_of("b.example"))["signatures"]
        return Event.from_pdu(pdu, self.last.rules)

    async def missing_events(self, *_, **__):
        self.asked += 1
        return [self.orphan().pdu for _ in range(20)]

    async def event(self, *_):
        self.asked += 1
        raise Unavailable("No.")

    event_auth = state_ids = event


async def test_a_past_without_an_end_is_asked_for_so_often_and_no_more(a, b, monkeypatch):
    room_id = await a.create("@alice:a.example", "11", preset="public_chat")
    await b.join(BOB, room_id, a)
    said = await b.say(room_id, BOB)
    tangle = Tangle(said)
    monkeypatch.setattr(a.ingest, "_remote", tangle)
    monkeypatch.setattr(a.ingest._gaps, "_remote", tangle)
    outcomes = await a.receive("b.example", room_id, *[tangle.orphan() for _ in range(50)], said)

    assert [type(one) for one in outcomes] == [Postponed] * 50 + [Accepted]
    assert tangle.asked == QUESTIONS_MAX
