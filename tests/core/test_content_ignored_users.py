import pytest

from homeserver.core.content.ignored_users import ignored_users_in

ALICE, BOB, CAROL = "@alice:example.org", "@bob:example.org", "@carol:example.org"


def test_the_listed_users_are_ignored_but_never_oneself():
    content = {"ignored_users": {BOB: {}, CAROL: {"reason": 1}, ALICE: {}, "bob": {}, "": {}}}

    assert ignored_users_in(content, ALICE) == {BOB, CAROL}


@pytest.mark.parametrize(
    "content", [None, {}, {"ignored_users": None}, {"ignored_users": [BOB]}, {"ignored_users": BOB}]
)
def test_what_is_not_understood_ignores_nobody(content):
    assert ignored_users_in(content, ALICE) == frozenset()
