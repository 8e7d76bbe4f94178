from dataclasses import replace

import pytest

from homeserver.config.model import RateLimit, SpamLimitsSection
from homeserver.core.errors import InvalidParam, LimitExceeded
from homeserver.core.requester import Requester
from homeserver.rooms.spam_limits import SpamLimits
from homeserver.runtime.observation import RateLimited
from tests.doubles.accounts import MovableClock

ALICE, BOB = Requester("@alice:x", "A", 1), Requester("@bob:x", "B", 2)
ADMIN = Requester("@root:x", "R", 3, is_admin=True)
WIDE = RateLimit(1.0, 1_000)
RATES = SpamLimitsSection(
    invites_per_issuer=WIDE, invites_per_recipient=WIDE, invites_per_room=WIDE, joins_per_user=WIDE,
    joins_per_room=WIDE, room_creations=WIDE,
)  # fmt: skip
TIGHT = RateLimit(0.5, 2)


class Limits:
    """Spam limits, of which some are tight, with a clock that is moved."""

    def __init__(self, *tight, buckets_max=1_000, **given):
        self.clock = MovableClock()
        self.seen = []
        rates = replace(RATES, **dict.fromkeys(tight, TIGHT), **given)
        self.limits = SpamLimits(
            rates=rates, clock=self.clock, observer=self.seen.append, buckets_max=buckets_max
        )

    def refuses(self, do, *arguments):
        """After how many milliseconds it may be done; 0: it was done."""
        try:
            getattr(self.limits, do)(*arguments)
        except LimitExceeded as error:
            return error.fields["retry_after_ms"]
        return 0


@pytest.mark.parametrize(
    ("kind", "do", "same", "other"),
    [
        ("invites_per_issuer", "count_invite", (ALICE, "!{}", "@{}:x"), (BOB, "!1", "@1:x")),
        ("invites_per_recipient", "count_invite", (ALICE, "!{}", "@c:x"), (BOB, "!1", "@d:x")),
        ("invites_per_room", "count_invite", (ALICE, "!r", "@{}:x"), (BOB, "!s", "@1:x")),
        ("joins_per_user", "count_join", (ALICE, "!{}"), (BOB, "!1")),
        ("joins_per_room", "count_join", (ALICE, "!r"), (ALICE, "!s")),
        ("room_creations", "count_new_room", (ALICE,), (BOB,)),
    ],
)
def test_each_limit_has_a_bucket_for_each_whom_it_bounds(kind, do, same, other):
    limits = Limits(kind)
    times = [[one.format(n) if isinstance(one, str) else one for one in same] for n in range(4)]
    assert [limits.refuses(do, *times[0]), limits.refuses(do, *times[1])] == [0, 0]

    retry_after_ms = limits.refuses(do, *times[2])
    assert 1_990 <= retry_after_ms <= 2_010
    whom = {"recipient": "@c:x", "room": "!r"}.get(kind.rpartition("_")[2], ALICE.user_id)
    assert limits.seen == [RateLimited(kind, whom)]
    assert limits.refuses(do, *other) == 0
    limits.clock.advance(retry_after_ms)
    assert limits.refuses(do, *times[3]) == 0


def test_invitations_of_a_new_room_count_as_any_other():
    limits = Limits("invites_per_recipient")
    limits.limits.count_new_room(ALICE, ("@c:x", "@d:x"))
    limits.limits.count_invite(BOB, "!r", "@c:x")

    assert limits.refuses("count_new_room", BOB, ("@c:x",)) > 0
    assert limits.refuses("count_new_room", BOB, ("@d:x",)) == 0


def test_more_than_a_bucket_holds_takes_a_full_one():
    limits = Limits("invites_per_issuer")
    many = tuple(f"@u{number}:x" for number in range(9))
    assert limits.refuses("count_new_room", ALICE, many) == 0

    assert limits.refuses("count_new_room", ALICE, many) > 0
    limits.clock.advance(4_000)
    assert limits.refuses("count_new_room", ALICE, many) == 0


@pytest.mark.parametrize(("requester", "enabled"), [(ADMIN, True), (ALICE, False)])
def test_admins_are_exempt_and_all_are_where_limits_are_off(requester, enabled):
    limits = Limits("joins_per_user", "room_creations", "invites_per_issuer", enabled=enabled)

    for _ in range(5):
        limits.limits.count_join(requester, "!r")
        limits.limits.count_new_room(requester, ("@c:x",))
        limits.limits.count_invite(requester, "!r", "@c:x")


def test_a_new_room_invites_a_bounded_number_whatever_is_off():
    limits = Limits(invites_per_new_room_max=1, enabled=False)

    limits.limits.count_new_room(ALICE, ("@c:x",))
    for requester in (ALICE, ADMIN):
        with pytest.raises(InvalidParam):
            limits.limits.count_new_room(requester, ("@c:x", "@d:x"))


def test_the_bucket_that_rested_longest_is_forgotten():
    limits = Limits("room_creations", buckets_max=3)
    users = [Requester(f"@u{number}:x", "D", number) for number in range(4)]
    for user in users:
        limits.refuses("count_new_room", user)
        limits.refuses("count_new_room", user)

    assert [limits.refuses("count_new_room", user) > 0 for user in users[1:]] == [True, True, True]
    assert limits.refuses("count_new_room", users[0]) == 0
