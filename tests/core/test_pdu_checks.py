"""The checks on receipt of a PDU: each in its turn, with its own outcome."""

import pytest

from homeserver.core.event.pdu import Event
from homeserver.core.pdu_checks import (
    NeedAuthEvents,
    NeedCurrentState,
    NeedPolicy,
    NeedSignatures,
    NeedStateBefore,
    check_received_pdu,
)
from homeserver.core.pdu_verdicts import Accepted, Dropped, Rejected, SoftFailed

ALICE, BOB = "@alice:example.org", "@bob:example.org"


class Answers:
    """Answers the checks from a room; each of the tests lets one answer be another."""

    def __init__(self, room):
        self.room = room
        self.unsigned_by = set()
        self.known = {event.event_id: event for event in room.events}
        self.rejected = set()
        self.before = self.current = dict(room.state)
        self.policy_allows = True
        self.asked = []

    def __call__(self, need):
        self.asked.append(type(need))
        match need:
            case NeedSignatures():
                return self.unsigned_by
            case NeedAuthEvents(event):
                found = {one: self.known[one] for one in event.auth_events if one in self.known}
                return found, self.rejected
            case NeedStateBefore(_, keys):
                return {key: self.before[key] for key in keys if key in self.before}
            case NeedCurrentState(_, keys):
                return {key: self.current[key] for key in keys if key in self.current}
            case NeedPolicy():
                return self.policy_allows

    def verdict(self, pdu):
        checks = check_received_pdu(pdu, self.room.rules, self.room.create)
        try:
            need = next(checks)
            while True:
                need = checks.send(self(need))
        except StopIteration as done:
            return done.value


@pytest.fixture(params=["1", "6", "12"])
def room(request, new_room):
    room = new_room(request.param)
    room.join(BOB)
    return room


@pytest.fixture
def answers(room):
    return Answers(room)


@pytest.fixture
def event(room):
    return room.propose(BOB, "m.room.message", {"body": "hello"})


def test_what_passes_every_check_is_accepted_and_the_checks_come_in_order(answers, event):
    verdict = answers.verdict(dict(event.pdu))

    assert isinstance(verdict, Accepted)
    assert verdict.event.event_id == event.event_id
    assert answers.asked == [
        NeedSignatures, NeedAuthEvents, NeedStateBefore, NeedCurrentState, NeedPolicy,
    ]  # fmt: skip


@pytest.mark.parametrize("pdu", [None, [], 7, "text", {}, {"type": "m.room.message"}])
def test_what_is_no_event_is_dropped_before_anything_is_asked(answers, pdu):
    assert isinstance(answers.verdict(pdu), Dropped)
    assert answers.asked == []


def test_what_is_not_signed_is_dropped(answers, event):
    answers.unsigned_by = {"example.org"}

    assert isinstance(answers.verdict(dict(event.pdu)), Dropped)
    assert answers.asked == [NeedSignatures]


def test_what_was_altered_is_taken_as_redacted(answers, event):
    verdict = answers.verdict({**event.pdu, "content": {"body": "altered"}})

    assert isinstance(verdict, Accepted)
    assert verdict.event.content == {}
    assert verdict.event.event_id == event.event_id


def test_an_event_of_another_room_is_dropped(answers, event):
    other = "!other:example.org"

    assert isinstance(answers.verdict({**event.pdu, "room_id": other}), Dropped)


def test_an_event_whose_auth_events_nobody_has_is_rejected(answers, event):
    del answers.known[event.auth_events[-1]]

    assert isinstance(answers.verdict(dict(event.pdu)), Rejected)
    assert NeedStateBefore not in answers.asked


def test_an_event_that_names_a_rejected_one_is_rejected(answers, event):
    answers.rejected = {event.auth_events[-1]}

    assert isinstance(answers.verdict(dict(event.pdu)), Rejected)


def test_an_event_that_the_state_before_it_does_not_allow_is_rejected(answers, event):
    del answers.before["m.room.member", BOB]
    answers.current = dict(answers.room.state)

    assert isinstance(answers.verdict(dict(event.pdu)), Rejected)
    assert NeedCurrentState not in answers.asked


def test_an_event_that_the_current_state_does_not_allow_is_soft_failed(answers, event, room):
    ban = room.propose(ALICE, "m.room.member", {"membership": "ban"}, BOB)
    answers.current = {**answers.current, ("m.room.member", BOB): ban}

    assert isinstance(answers.verdict(dict(event.pdu)), SoftFailed)
    assert NeedPolicy not in answers.asked


def test_an_event_that_the_policy_server_refuses_is_soft_failed(answers, event):
    answers.policy_allows = False

    assert isinstance(answers.verdict(dict(event.pdu)), SoftFailed)


def test_unsigned_is_no_part_of_what_is_checked(answers, event):
    verdict = answers.verdict({**event.pdu, "unsigned": {"age": 5, "prev_content": {"x": 1.5}}})

    assert isinstance(verdict, Accepted)
    assert isinstance(verdict.event, Event)
    assert "unsigned" not in verdict.event.pdu
