"""Which two servers meet, and how their users do."""

import os

from tests.scenarios.federation.servers import Isthmus, Synapse

PAIRS = {
    "ours-ours": (Isthmus, Isthmus),
    "ours-synapse": (Isthmus, Synapse),
    "synapse-ours": (Synapse, Isthmus),
    "synapse-synapse": (Synapse, Synapse),
}
"""The last proves the tests themselves: FEDERATION_PAIRS=synapse-synapse runs it."""
CHOSEN = os.environ.get("FEDERATION_PAIRS", "ours-ours").split(",")


async def meet(alice, bob, **more):
    """A room of Alice's that Bob joins on her invitation."""
    room_id = await alice.make_room(invite=[bob.user_id], **more)
    await bob.is_in(room_id, "invite")
    await bob.join_by(room_id, alice.server.name)
    await alice.sees_member(room_id, bob.user_id, "join")
    await bob.is_in(room_id, "join")
    return room_id
