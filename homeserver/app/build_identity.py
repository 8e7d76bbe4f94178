"""Puts together what says who this server is and knows who others are: keys, and with whom to speak."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from federation.client.server_keys import Requests, ServerKeyRequests
from federation.keyring import KeyRing
from federation.known_keys import KnownKeys
from federation.server_rules import ServerRules
from homeserver.app.storage import Runtime, Storage
from homeserver.config.model import Configuration
from homeserver.core.server_keys import OwnKeys
from storage.tables.server_keys import ServerKeys

__all__ = ["Identity", "build_identity"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this server is, and who others are.

    Attributes:
        own: our keys.
        known: those of others.
        key_ring: verifies what servers signed.
        rules: with whom to speak.
    """

    own: OwnKeys
    known: KnownKeys
    key_ring: KeyRing
    rules: ServerRules


def server_rules(configuration: Configuration) -> ServerRules:
    """With which servers this one speaks."""
    section = configuration.federation
    allowed = section.allowed_servers
    if allowed:
        allowed += tuple(one.name for one in configuration.regions)
    return ServerRules(allowed=allowed, denied=section.denied_servers)


def build_identity(
    configuration: Configuration, runtime: Runtime, storage: Storage, own: OwnKeys, requests: Requests,
    stack: AsyncExitStack,
) -> Identity:  # fmt: skip
    """Make what knows the keys of servers.

    Args:
        configuration: says with whom to speak, and whose word to take.
        runtime: what everything takes.
        storage: where keys of others are kept.
        own: our keys.
        requests: asks other servers for theirs; also those that were not to be reached lately.
        stack: takes what is to be undone.
    """
    clock = runtime.clock
    known = KnownKeys(
        own=own, table=ServerKeys(storage.database), requests=ServerKeyRequests(requests, clock),
        notaries=configuration.federation.trusted_key_servers, clock=clock, randomness=runtime.randomness,
        observer=runtime.observer,
    )  # fmt: skip
    key_ring = KeyRing(known=known, clock=clock)
    stack.push_async_callback(key_ring.close)
    return Identity(own, known, key_ring, server_rules(configuration))
