"""Policy servers: a room may name one that is asked of each event before it is sent, and of those that come.

Spec: https://spec.matrix.org/v1.19/server-server-api/#policy-servers
"""

import asyncio
from typing import Any

from homeserver.core.auth.selection import StateKey
from homeserver.core.content.policy import POLICY_KEY_ID, PolicyServer, policy_server_of
from homeserver.core.errors import Forbidden, MatrixError, RemoteRefused, Unavailable
from homeserver.core.event.pdu import Event
from homeserver.core.redaction import redact
from homeserver.core.signing import verify_json
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.ports import PolicySigning
from homeserver.rooms.registry import RoomRegistry
from storage.cache import LruCache
from storage.tables.policy_servers import is_joined
from storage.tables.queries import Queries

__all__ = ["PolicyRefused", "PolicySignatures", "PolicyUnavailable", "RoomPolicies"]

ANSWER_TIMEOUT_S = 10.0
REFUSED_MAX = 10_000
_POLICY: StateKey = ("m.room.policy", "")


class PolicyUnavailable(Unavailable):
    """The policy server of a room does not answer, so nothing can be sent there."""


class PolicyRefused(RemoteRefused):
    """The policy server of a room refuses an event; whoever sends it is told so in its own words."""

    def body(self) -> dict[str, Any]:
        """The JSON object that the client is told."""
        return {"errcode": self.errcode, "error": self.error} if self.is_fit_for_clients else super().body()


class PolicySignatures:
    """Has events signed by the policy servers of their rooms.

    Args:
        remote: asks a policy server.
        queries: who is in rooms.
    """

    def __init__(self, *, remote: PolicySigning, queries: Queries) -> None:
        self._remote = remote
        self._queries = queries
        self._refused: LruCache[tuple[str, str], bool] = LruCache(REFUSED_MAX)

    def concern(self, room: RoomActor, event_type: str, state_key: str | None) -> bool:
        """Say whether an event may need a signature: the room names a policy server."""
        return room.state.get(_POLICY) is not None and (event_type, state_key) != _POLICY

    async def signed(self, room: RoomActor, event: Event) -> Event:
        """Have an event of ours signed, if the room's policy server is in force.

        Raises:
            Forbidden: what it answers is no right signature.
            PolicyRefused: it refuses the event.
            PolicyUnavailable: it does not answer.
        """
        policy = await self._in_force(room)
        if policy is None or _is_signed(event.pdu, event, policy):
            return event
        signature = await self._ask(policy, event)
        if signature is None:
            raise Forbidden("The policy server of the room has not signed the event.")
        return _with_signature(event, policy, signature)

    async def allow(self, room: RoomActor, event: Event) -> bool:
        """Say whether an event that came has the signature that it needs, or gets it now."""
        if not self.concern(room, event.type, event.state_key):
            return True
        policy = await self._in_force(room)
        if policy is None or _is_signed(event.pdu, event, policy):
            return True
        name = (policy.server_name, event.event_id)
        if self._refused.get(name):
            return False
        try:
            signature = await self._ask(policy, event)
        except PolicyUnavailable:
            return False
        except MatrixError:
            signature = None
        if signature is None:
            self._refused.put(name, value=True)
        return signature is not None

    async def _in_force(self, room: RoomActor) -> PolicyServer | None:
        """The policy server of a room, if one of its users is there, so that it agrees to be asked."""
        policy = policy_server_of(room.state.get(_POLICY))
        if policy is None or not await is_joined(self._queries, room.room_nid, policy.server_name):
            return None
        return policy

    async def _ask(self, policy: PolicyServer, event: Event) -> str | None:
        """Ask for a signature; None if what comes is no right one."""
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                answer = await self._remote.sign(policy.server_name, event.pdu)
        except RemoteRefused as refused:
            raise PolicyRefused(
                refused.status, refused.errcode, refused.error, refused.answer
            ) from refused
        except (TimeoutError, Unavailable) as error:
            raise PolicyUnavailable("The policy server of the room does not answer. Try again.") from error
        signatures = answer.get(policy.server_name)
        signature = signatures.get(POLICY_KEY_ID) if isinstance(signatures, dict) else None
        if not isinstance(signature, str):
            return None
        told = {policy.server_name: {POLICY_KEY_ID: signature}}
        return signature if _is_signed({**event.pdu, "signatures": told}, event, policy) else None


class RoomPolicies:
    """Asks of the events that come; implements `homeserver.rooms.ports.PolicyServers`.

    Args:
        registry: the rooms.
        signatures: asks their policy servers.
    """

    def __init__(self, *, registry: RoomRegistry, signatures: PolicySignatures) -> None:
        self._registry = registry
        self._signatures = signatures

    async def allows(self, event: Event) -> bool:
        """Whether the room's policy server has no objection to an event, or the room has none."""
        room = await self._registry.actor(event.room_id)
        return await self._signatures.allow(room, event)


def _is_signed(pdu: dict[str, Any], event: Event, policy: PolicyServer) -> bool:
    signatures = pdu.get("signatures")
    own = signatures.get(policy.server_name) if isinstance(signatures, dict) else None
    if policy.public_key is None or not isinstance(own, dict) or POLICY_KEY_ID not in own:
        return False
    try:
        return verify_json(redact(pdu, event.rules), policy.server_name, POLICY_KEY_ID, policy.public_key)
    except ValueError:
        return False


def _with_signature(event: Event, policy: PolicyServer, signature: str) -> Event:
    """Copy an event with a signature more; its ID stays, as no signature is part of that."""
    signatures = dict(event.pdu["signatures"])
    signatures[policy.server_name] = {**signatures.get(policy.server_name, {}), POLICY_KEY_ID: signature}
    return Event.from_pdu({**event.pdu, "signatures": signatures}, event.rules, event.event_id)
