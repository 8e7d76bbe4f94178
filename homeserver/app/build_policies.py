"""Puts together what asks the policy servers of rooms."""

from dataclasses import replace

from federation.client.policy import FederationPolicy
from homeserver.app.build_outgoing import Outgoing
from homeserver.app.storage import Storage
from homeserver.rooms.policies import PolicySignatures, RoomPolicies
from homeserver.rooms.registry import RoomRegistry

__all__ = ["build_policies", "with_policies"]


def build_policies(storage: Storage, outgoing: Outgoing) -> PolicySignatures | None:
    """Make what has events of ours signed; None for a server that speaks with no other."""
    if outgoing.client is None:
        return None
    return PolicySignatures(remote=FederationPolicy(outgoing.client), queries=storage.database)


def with_policies(
    outgoing: Outgoing, registry: RoomRegistry, signatures: PolicySignatures | None
) -> Outgoing:
    """The ways to other servers, on which events that come are shown to policy servers."""
    if signatures is None:
        return outgoing
    policy = RoomPolicies(registry=registry, signatures=signatures)
    return replace(outgoing, ports=replace(outgoing.ports, policy=policy))
