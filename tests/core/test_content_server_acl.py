"""Which servers may take part in a room."""

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeserver.core.content.server_acl import ServerAcl

ALL_BUT_IPS = {"allow": ["*"], "allow_ip_literals": False}


def test_a_room_without_list_lets_all_servers_in():
    assert ServerAcl.of(None).allows("example.org")


def test_a_list_is_read_from_its_event(new_room):
    event = new_room().propose("@alice:example.org", "m.room.server_acl", {"allow": ["good.org"]}, "")

    assert ServerAcl.of(event).allows("good.org")
    assert not ServerAcl.of(event).allows("evil.org")


@pytest.mark.parametrize(
    ("content", "server_name", "allowed"),
    [
        ({}, "example.org", False),
        ({"allow": []}, "example.org", False),
        ({"allow": ["*"]}, "example.org", True),
        ({"allow": ["*"], "deny": ["example.org"]}, "example.org", False),
        ({"allow": ["example.org"], "deny": ["*"]}, "example.org", False),
        ({"allow": ["*"], "deny": ["*.example.org"]}, "a.b.example.org", False),
        ({"allow": ["*"], "deny": ["*.example.org"]}, "example.org", True),
        ({"allow": ["EXAMPLE.org"]}, "Example.ORG", True),
        ({"allow": ["example.org"]}, "example.org:8448", True),
        ({"allow": ["*"], "deny": ["example.org"]}, "example.org:1", False),
        ({"allow": ["example.???"]}, "example.org", True),
        ({"allow": ["example.???"]}, "example.de", False),
        ({"allow": ["example?org"]}, "example.org", True),
        ({"allow": ["e*a*.org"]}, "example.org", True),
        ({"allow": ["*a?p*"]}, "example.org", True),
        ({"allow": ["*a?x*"]}, "example.org", False),
        ({"allow": ["ab*ba"]}, "aba", False),
        ({"allow": ["example.*org"]}, "example.org", True),
        ({"allow": ["[12].org"]}, "1.org", False),
        ({"allow": ["example.org"]}, "exampleXorg", False),
        (ALL_BUT_IPS, "1.2.3.4", False),
        (ALL_BUT_IPS, "1.2.3.4:8448", False),
        (ALL_BUT_IPS, "[::1]", False),
        (ALL_BUT_IPS, "[2001:db8::1]:8448", False),
        (ALL_BUT_IPS, "01.2.3.4", False),
        (ALL_BUT_IPS, "1.2.3.256", False),
        (ALL_BUT_IPS, "1.2.3.4.5", True),
        (ALL_BUT_IPS, "1.2.3.example.org", True),
        ({"allow": ["*"], "allow_ip_literals": True}, "1.2.3.4", True),
        ({"allow": ["*"], "allow_ip_literals": "false"}, "[::1]:80", True),
        ({"allow": ["[::1]"]}, "[::1]:80", True),
        ({"allow": ["*"], "deny": ["1.2.*"]}, "1.2.3.4", False),
    ],
)
def test_the_list_is_applied_in_the_order_of_the_spec(content, server_name, allowed):
    assert ServerAcl(content).allows(server_name) is allowed


@pytest.mark.parametrize("garbage", [None, 5, "*", {}, {"*": 1}, [None, 5, [], {}]])
def test_garbage_matches_no_server(garbage):
    assert not ServerAcl({"allow": garbage}).allows("example.org")
    assert ServerAcl({"allow": ["*"], "deny": garbage}).allows("example.org")


@given(st.text("ab?*", max_size=12), st.text("ab", max_size=12))
def test_globs_match_as_regular_expressions_do(pattern, text):
    expected = re.match(fnmatch.translate(pattern), text) is not None

    assert ServerAcl({"allow": [pattern]}).allows(text) is expected


def test_patterns_with_many_asterisks_do_not_take_for_ever():
    acl = ServerAcl({"allow": ["*a" * 100 + "*b*"], "deny": ["*?a" * 100 + "?*b"]})

    assert not acl.allows("a" * 250)
