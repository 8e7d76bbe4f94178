import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeserver.core.content.retention import (
    FOR_EVER,
    Keeping,
    RetentionPolicy,
    keeping_of,
    wanted_lifetime_ms,
)

DAY = 86_400_000
CLASSES = {1: DAY, 4: 7 * DAY, 2: 30 * DAY}
lifetimes = st.integers(1, 100 * DAY)
contents = st.none() | st.dictionaries(
    st.sampled_from(["max_lifetime", "min_lifetime"]),
    lifetimes | st.sampled_from([None, True, "1", 1.5, -1, 2**53, [], {}]),
)


@st.composite
def policies(draw):
    low, high = sorted((draw(lifetimes), draw(lifetimes)))
    default = draw(st.none() | st.integers(low, high))
    classes = draw(st.dictionaries(st.integers(1, 99), lifetimes, max_size=6))
    return RetentionPolicy(default, low, draw(st.sampled_from([None, high])), classes)


def policy(default=None, low=0, high=None, classes=None):
    return RetentionPolicy(default, low, high, CLASSES if classes is None else classes)


@pytest.mark.parametrize(
    ("content", "given_policy", "keeping"),
    [
        (None, policy(), FOR_EVER),
        ({"max_lifetime": DAY}, policy(), Keeping(1, DAY)),
        ({"max_lifetime": DAY + 1}, policy(), Keeping(4, DAY + 1)),
        ({"max_lifetime": 31 * DAY}, policy(), FOR_EVER),
        ({"max_lifetime": 1}, policy(low=8 * DAY), Keeping(2, 8 * DAY)),
        ({"max_lifetime": 1, "min_lifetime": 2 * DAY}, policy(), Keeping(4, 2 * DAY)),
        ({"min_lifetime": 2 * DAY}, policy(), FOR_EVER),
        ({"min_lifetime": 2 * DAY}, policy(default=DAY), Keeping(4, 2 * DAY)),
        ({}, policy(default=DAY), Keeping(1, DAY)),
        (None, policy(high=20 * DAY), Keeping(2, 20 * DAY)),
        ({"max_lifetime": 90 * DAY}, policy(high=20 * DAY), Keeping(2, 20 * DAY)),
        ({"max_lifetime": DAY}, policy(classes={}), FOR_EVER),
    ],
)
def test_a_room_gets_the_smallest_class_that_lives_long_enough(content, given_policy, keeping):
    assert keeping_of(content, given_policy) == keeping


@given(contents, policies())
def test_what_is_wanted_is_within_the_bounds(content, given_policy):
    wanted = wanted_lifetime_ms(content, given_policy)
    assert wanted is None or wanted >= given_policy.lifetime_ms_min
    if given_policy.lifetime_ms_max is not None:
        assert wanted is not None
        assert wanted <= given_policy.lifetime_ms_max


@given(contents, policies())
def test_no_other_class_fits_better(content, given_policy):
    classes = given_policy.class_lifetimes_ms
    wanted = wanted_lifetime_ms(content, given_policy)
    kept = keeping_of(content, given_policy)
    fitting = [has for has in classes.values() if wanted is not None and has >= wanted]
    if fitting:
        assert kept.lifetime_ms == wanted
        assert classes[kept.retention_class] == min(fitting)
    else:
        assert kept == FOR_EVER


@pytest.mark.parametrize("odd", [True, "86400000", 1.5, -1, None, [], {}, 2**53])
def test_a_lifetime_that_is_no_number_of_milliseconds_is_not_there(odd):
    assert keeping_of({"max_lifetime": odd, "min_lifetime": odd}, policy(default=DAY)) == Keeping(1, DAY)
