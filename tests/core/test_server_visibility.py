"""Which events servers may see: the same as what any of their users may see."""

from hypothesis import given
from hypothesis import strategies as st

from homeserver.core.server_visibility import is_open_to_servers, server_may_see
from homeserver.core.visibility import may_see

visibilities = st.sampled_from(["invited", "joined", "shared", "world_readable", "odd", ""])
memberships = st.sampled_from(["join", "invite", "leave", "ban", "knock"])


@given(visibilities, st.lists(memberships, max_size=5))
def test_a_server_sees_what_any_user_of_it_sees(visibility, of_users):
    # One of its users is in the room now, and so came in later than what they were not there for.
    assert server_may_see(visibility, of_users) == any(
        may_see(visibility, membership, membership_later_joined=True) for membership in [*of_users, "leave"]
    )


@given(visibilities, st.lists(memberships, max_size=5), memberships)
def test_one_user_more_hides_nothing(visibility, of_users, one_more):
    if server_may_see(visibility, of_users):
        assert server_may_see(visibility, [*of_users, one_more])


@given(visibilities)
def test_what_is_open_needs_no_look_at_members(visibility):
    assert is_open_to_servers(visibility) == server_may_see(visibility, [])
