"""A server changes its signing key while its users talk with those of another."""

import pytest

from tests.scenarios.federation.conftest import running
from tests.scenarios.federation.pairs import CHOSEN, PAIRS, meet
from tests.scenarios.federation.servers import Isthmus

pytestmark = pytest.mark.scenario


@pytest.fixture(scope="module", params=CHOSEN)
def servers(request):
    with running(*PAIRS[request.param]) as both:
        yield both


async def test_they_go_on_talking(servers, come):
    changing, staying = sorted(servers, key=lambda one: not isinstance(one, Isthmus))
    alice, bob = await come(changing, "alice"), await come(staying, "bob")
    room_id = await meet(alice, bob)
    await alice.say(room_id, "before")
    await bob.sees(room_id, "before")

    changing.rotate_signing_key()

    await alice.say(room_id, "after")
    await bob.sees(room_id, "after")
    await bob.say(room_id, "seen")
    await alice.sees(room_id, "seen")
    carol = await come(staying, "carol")
    await alice.act(room_id, "invite", carol.user_id)
    await carol.is_in(room_id, "invite")
    await carol.join_by(room_id, changing.name)
    await bob.sees_member(room_id, carol.user_id, "join")
