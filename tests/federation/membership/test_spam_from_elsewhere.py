"""How much users of other servers may reach ours with."""

from dataclasses import replace
from urllib.parse import quote

import pytest

from homeserver.config.model import RateLimit, RateLimitsSection


@pytest.fixture
def strict(here):
    """Let `here` start anew with limits, of which every user has two of each sort."""

    async def start(**limits):
        spam = replace(
            here.configuration.spam_limits, **{name: RateLimit(0.001, 2) for name in limits.pop("names")}
        )
        many = RateLimitsSection(enabled=True)
        here.configuration = replace(here.configuration, spam_limits=spam, rate_limits=many)
        await here.restart()

    return start


async def test_who_invites_too_many_is_stopped(hal, tess, strict):
    await strict(names=["invites_per_issuer"])
    rooms = [await tess.create() for _ in range(3)]
    answers = [(await tess.try_act(room, "invite", user_id=hal.user_id))[0] for room in rooms]

    assert answers == [200, 200, 503]


async def test_who_is_invited_too_often_is_left_alone(here, there, hal, strict):
    users = [await there.user(name) for name in ("uma", "vic", "wes")]
    await strict(names=["invites_per_recipient"])
    answers = []
    for user in users:
        room = await user.create()
        answers.append((await user.try_act(room, "invite", user_id=hal.user_id))[0])

    assert answers == [200, 200, 503]


async def test_who_joins_too_many_rooms_is_stopped(hal, tess, strict):
    rooms = [await hal.create(preset="public_chat") for _ in range(3)]
    await strict(names=["joins_per_user"])
    answers = [
        (await tess.try_("POST", f"/join/{quote(room)}?via=here.example", {}))[0] for room in rooms
    ]

    assert answers == [200, 200, 503]
