"""Which events an event names as those that allow it: one test per sentence of the specification."""

import pytest

from homeserver.core.auth.selection import auth_types_for
from homeserver.core.room_versions import ROOM_VERSIONS

ALICE, BOB, CAROL = "@alice:example.org", "@bob:example.org", "@carol:example.org"
CREATE = ("m.room.create", "")
LEVELS = ("m.room.power_levels", "")
JOIN_RULES = ("m.room.join_rules", "")
OF_ALICE, OF_BOB, OF_CAROL = (("m.room.member", user_id) for user_id in (ALICE, BOB, CAROL))


def select(version, event_type, state_key=None, content=None, sender=ALICE):
    return auth_types_for(ROOM_VERSIONS[version], event_type, sender, state_key, content or {})


@pytest.mark.parametrize("version", ROOM_VERSIONS)
def test_the_event_that_creates_a_room_names_none(version):
    assert select(version, "m.room.create", "") == []


@pytest.mark.parametrize("version", [version for version in ROOM_VERSIONS if version != "12"])
@pytest.mark.parametrize(("event_type", "state_key"), [("m.room.message", None), ("m.room.topic", "")])
def test_any_event_names_the_create_event_the_power_levels_and_its_sender(version, event_type, state_key):
    assert select(version, event_type, state_key) == [CREATE, LEVELS, OF_ALICE]


def test_no_event_names_the_create_event_where_the_room_is_named_after_it():
    memberships = ("join", "invite", "leave", "ban", "knock")
    selections = [select("12", "m.room.member", BOB, {"membership": way}) for way in memberships]

    assert select("12", "m.room.message") == [LEVELS, OF_ALICE]
    assert not any(CREATE in selected for selected in selections)


@pytest.mark.parametrize("membership", ["join", "invite", "knock"])
def test_a_way_into_the_room_names_the_target_and_the_join_rules(membership):
    content = {"membership": membership}

    assert select("12", "m.room.member", BOB, content) == [LEVELS, OF_ALICE, OF_BOB, JOIN_RULES]


@pytest.mark.parametrize("membership", ["leave", "ban", "other", None, 7])
def test_a_way_out_of_the_room_names_the_target_only(membership):
    assert select("12", "m.room.member", BOB, {"membership": membership}) == [LEVELS, OF_ALICE, OF_BOB]


def test_nothing_is_named_twice():
    assert select("12", "m.room.member", ALICE, {"membership": "join"}) == [LEVELS, OF_ALICE, JOIN_RULES]


def test_an_invitation_by_a_third_party_names_that_invitation():
    content = {"membership": "invite", "third_party_invite": {"signed": {"token": "abc"}}}

    assert ("m.room.third_party_invite", "abc") in select("1", "m.room.member", BOB, content)
    assert ("m.room.third_party_invite", "abc") not in select(
        "1", "m.room.member", BOB, {**content, "membership": "join"}
    )


@pytest.mark.parametrize("invite", [None, [], {}, {"signed": 1}, {"signed": {}}, {"signed": {"token": []}}])
def test_a_garbled_invitation_by_a_third_party_names_nothing_more(invite):
    content = {"membership": "invite", "third_party_invite": invite}

    assert select("12", "m.room.member", BOB, content) == [LEVELS, OF_ALICE, OF_BOB, JOIN_RULES]


@pytest.mark.parametrize("version", ["8", "9", "10", "11", "12"])
def test_a_join_on_somebodys_authority_names_that_user(version):
    content = {"membership": "join", "join_authorised_via_users_server": CAROL}

    assert OF_CAROL in select(version, "m.room.member", ALICE, content)


@pytest.mark.parametrize("version", ["1", "2", "3", "4", "5", "6", "7"])
def test_nobodys_authority_counts_before_version_8(version):
    content = {"membership": "join", "join_authorised_via_users_server": CAROL}

    assert OF_CAROL not in select(version, "m.room.member", ALICE, content)


def test_authority_that_is_no_text_or_for_no_join_names_nobody():
    assert OF_CAROL not in select(
        "12", "m.room.member", BOB, {"membership": "invite", "join_authorised_via_users_server": CAROL}
    )
    selected = select(
        "12", "m.room.member", ALICE, {"membership": "join", "join_authorised_via_users_server": {}}
    )
    assert selected == [LEVELS, OF_ALICE, JOIN_RULES]


def test_a_membership_without_state_key_names_no_target():
    assert select("12", "m.room.member", None, {"membership": "join"}) == [LEVELS, OF_ALICE]
