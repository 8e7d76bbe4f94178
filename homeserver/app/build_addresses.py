"""Puts together what reaches people by e-mail and phone, and what knows their addresses."""

import importlib
from contextlib import AsyncExitStack
from dataclasses import dataclass

from homeserver.accounts.account_messages import AccountMessages, SmsSender
from homeserver.accounts.address_stages import AddressStages
from homeserver.accounts.addresses import EMAIL, MSISDN
from homeserver.accounts.identity_servers import IdentityServers
from homeserver.accounts.threepids import Threepids
from homeserver.accounts.validations import Validations
from homeserver.app.base_url import base_url_of
from homeserver.app.storage import Runtime, Storage
from homeserver.config.model import Configuration
from homeserver.core.signing import SigningKey
from homeserver.runtime.smtp import MailServer, Smtp

__all__ = ["AddressServices", "build_addresses"]


@dataclass(frozen=True, slots=True)
class AddressServices:
    """What the endpoints of addresses call."""

    identity_servers: IdentityServers
    messages: AccountMessages
    stages: AddressStages
    threepids: Threepids
    validations: Validations


def build_addresses(
    configuration: Configuration,
    runtime: Runtime,
    storage: Storage,
    signing_key: SigningKey,
    stack: AsyncExitStack,
) -> AddressServices:
    """Make the services of addresses.

    Args:
        configuration: of the server.
        runtime: what everything takes.
        storage: where addresses are.
        signing_key: by which identity servers know this homeserver.
        stack: closes what is opened.

    Raises:
        ValueError: what sends text messages cannot be loaded.
    """
    database, section = storage.database, configuration.mail
    mailer = None
    if section.host:
        server = MailServer(
            section.host, section.port, section.tls, section.username, section.password, section.timeout_ms
        )
        mailer = Smtp(server, runtime.observer)
        stack.push_async_callback(mailer.close)
    messages = AccountMessages(
        mailer=mailer, sms_sender=_sms_sender(configuration.phone.sender), sender=section.sender,
        server_name=configuration.server_name, base_url=base_url_of(configuration),
    )  # fmt: skip
    validations = Validations(
        database=database, messages=messages, clock=runtime.clock, randomness=runtime.randomness
    )
    threepids = Threepids(database=database, validations=validations, clock=runtime.clock)
    return AddressServices(
        identity_servers=IdentityServers(
            database=database,
            outgoing=runtime.outgoing,
            trusted=configuration.identity.trusted_servers,
            server_name=configuration.server_name,
            signing_key=signing_key,
        ),
        messages=messages,
        stages=AddressStages(
            validations=validations,
            threepids=threepids,
            media=[medium for medium in (EMAIL, MSISDN) if messages.can_reach(medium)],
            randomness=runtime.randomness,
        ),
        threepids=threepids,
        validations=validations,
    )


def _sms_sender(name: str) -> SmsSender | None:
    """What the operator has installed to send text messages: `module:factory`."""
    if not name:
        return None
    module, _, factory = name.partition(":")
    try:
        made: SmsSender = getattr(importlib.import_module(module), factory)()
    except (ImportError, AttributeError, TypeError) as error:
        raise ValueError(f"phone.sender {name} cannot be loaded: {error}") from error
    return made
