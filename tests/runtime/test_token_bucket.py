from hypothesis import given
from hypothesis import strategies as st

from homeserver.runtime.token_bucket import TokenBucket


def test_a_burst_is_let_through_and_then_one_per_interval():
    bucket = TokenBucket(per_second=2, burst=3, now_ms=0)

    assert [bucket.take(0) for _ in range(3)] == [0, 0, 0]
    assert bucket.take(0) == 501
    assert bucket.take(501) == 0
    assert bucket.take(501) > 0


def test_a_bucket_that_rests_is_full_again_and_never_fuller():
    bucket = TokenBucket(per_second=1, burst=2, now_ms=0)
    bucket.take(0)

    assert not bucket.is_full(500)
    assert bucket.is_full(1_000_000)
    assert [bucket.take(1_000_000) for _ in range(3)][:2] == [0, 0]
    assert bucket.take(1_000_000) > 0


@given(
    st.floats(min_value=0.01, max_value=1000),
    st.integers(min_value=1, max_value=100),
    st.lists(st.integers(min_value=0, max_value=5_000), max_size=50),
)
def test_no_more_than_burst_and_rate_are_let_through_and_the_promise_is_kept(per_second, burst, pauses_ms):
    bucket = TokenBucket(per_second, burst, now_ms=0)
    now_ms = let_through = 0
    for pause_ms in pauses_ms:
        now_ms += pause_ms
        retry_after_ms = bucket.take(now_ms)
        if retry_after_ms:
            now_ms += retry_after_ms
            assert bucket.take(now_ms) == 0
        let_through += 1

    assert let_through <= burst + now_ms * per_second / 1000 + 0.001
