"""Room versions: https://spec.matrix.org/v1.19/rooms/."""

import pytest

from homeserver.core.room_versions import (
    DEFAULT_ROOM_VERSION,
    ROOM_VERSIONS,
    EventIdFormat,
    StateResolution,
    rules_for,
)


def test_there_are_twelve_and_each_knows_its_name():
    assert list(ROOM_VERSIONS) == [str(number) for number in range(1, 13)]
    assert all(rules.version == version for version, rules in ROOM_VERSIONS.items())
    assert rules_for(DEFAULT_ROOM_VERSION) is ROOM_VERSIONS["12"]
    assert rules_for("13") is None
    assert rules_for("") is None


@pytest.mark.parametrize(
    ("field", "first"),
    [
        ("limit_notifications_power_levels", 6),
        ("knocking", 7),
        ("restricted_join_rule", 8),
        ("knock_restricted_join_rule", 10),
        ("integer_power_levels", 10),
        ("use_room_create_sender", 11),
        ("explicitly_privilege_room_creators", 12),
        ("additional_room_creators", 12),
        ("room_create_event_id_as_room_id", 12),
    ],
)
def test_an_authorization_rule_holds_from_its_version_on(field, first):
    for version, rules in ROOM_VERSIONS.items():
        assert getattr(rules.authorization, field) is (int(version) >= first)


@pytest.mark.parametrize(
    ("field", "last"), [("special_case_room_redaction", 2), ("special_case_aliases_auth", 5)]
)
def test_a_special_case_ends_with_its_version(field, last):
    for version, rules in ROOM_VERSIONS.items():
        assert getattr(rules.authorization, field) is (int(version) <= last)


def test_formats_and_algorithms_change_where_the_spec_says():
    for version, rules in ROOM_VERSIONS.items():
        number = int(version)
        assert rules.event_references_are_pairs is (number < 3)
        assert rules.strict_canonical_json is (number >= 6)
        assert rules.enforce_key_validity is (number >= 5)
        assert rules.redaction.redacts_in_content is (number >= 11)
        assert rules.room_id_is_create_event_id is (number >= 12)
        assert rules.event_id_format is (
            EventIdFormat.DOMAIN
            if number < 3
            else EventIdFormat.BASE64
            if number == 3
            else EventIdFormat.URL_SAFE_BASE64
        )
        assert rules.state_resolution is (
            StateResolution.V1 if number == 1 else StateResolution.V2 if number < 12 else StateResolution.V2_1
        )


def test_rules_cannot_be_altered():
    with pytest.raises(TypeError):
        ROOM_VERSIONS["13"] = ROOM_VERSIONS["12"]
    with pytest.raises(AttributeError):
        ROOM_VERSIONS["12"].version = "13"
    with pytest.raises(TypeError):
        ROOM_VERSIONS["12"].redaction.content["m.room.message"] = None
