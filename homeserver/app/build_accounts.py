"""Puts together what makes, keeps and recognises accounts."""

import hashlib
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from homeserver.accounts.access_tokens import AccessTokens
from homeserver.accounts.address_stages import AddressStages
from homeserver.accounts.devices import Devices
from homeserver.accounts.jwt_login import JwtLogins, JwtRules
from homeserver.accounts.login import Logins
from homeserver.accounts.passwords import Passwords
from homeserver.accounts.reauthentication import Reauthentication
from homeserver.accounts.recaptcha import Recaptcha
from homeserver.accounts.registration import Registration
from homeserver.accounts.registration_tokens import RegistrationTokens
from homeserver.accounts.sso.confirmations import UpstreamStage
from homeserver.accounts.stages import Stages
from homeserver.accounts.terms import Terms
from homeserver.accounts.token_format import TokenFormat
from homeserver.accounts.token_key import load_or_create_token_key
from homeserver.accounts.uia import InteractiveAuthentication
from homeserver.app.base_url import base_url_of
from homeserver.app.build_addresses import AddressServices, build_addresses
from homeserver.app.data_directory import DataDirectory
from homeserver.app.storage import Runtime, Storage
from homeserver.config.model import Configuration
from homeserver.core.errors import InvalidParam
from homeserver.e2ee.device_lists import DeviceLists

__all__ = ["AccountServices", "build_accounts"]


@dataclass(frozen=True, slots=True)
class AccountServices:
    """What the endpoints of accounts call."""

    access_tokens: AccessTokens
    addresses: AddressServices
    devices: Devices
    device_lists: DeviceLists
    interactive: InteractiveAuthentication
    jwt_logins: JwtLogins | None
    logins: Logins
    passwords: Passwords
    reauthentication: Reauthentication
    registration: Registration
    registration_tokens: RegistrationTokens
    stages: Stages
    upstream_stage: UpstreamStage


async def build_accounts(
    configuration: Configuration,
    runtime: Runtime,
    storage: Storage,
    data_directory: DataDirectory,
    stack: AsyncExitStack,
) -> AccountServices:
    """Make the services of accounts, and the registration tokens of the configuration."""
    database, server_name = storage.database, configuration.server_name
    clock, randomness = runtime.clock, runtime.randomness
    passwords = _passwords(configuration)
    stack.push_async_callback(passwords.close)
    token_key = load_or_create_token_key(data_directory.path / "token.key")
    access_tokens = AccessTokens(
        database=database, token_format=TokenFormat(token_key, server_name),
        lifetime_ms=configuration.tokens.access_token_lifetime_ms, clock=clock, randomness=randomness,
    )  # fmt: skip
    registration = Registration(
        database=database, passwords=passwords, server_name=server_name, clock=clock, randomness=randomness
    )
    for token in configuration.registration.tokens:
        with suppress(InvalidParam):  # it is there since an earlier start
            await registration.create_token(token)
    logins = Logins(
        database=database, passwords=passwords, access_tokens=access_tokens, server_name=server_name,
        clock=clock, randomness=randomness,
    )  # fmt: skip
    interactive = InteractiveAuthentication(
        database=database, parameters_key=_parameters_key(token_key), clock=clock, randomness=randomness
    )
    addresses = build_addresses(configuration, runtime, storage, data_directory.signing_key(), stack)
    upstream_stage = _upstream_stage(configuration, storage)
    stages = _stages(configuration, runtime, logins, registration, addresses.stages, upstream_stage)
    device_lists = DeviceLists(
        database=database, journal=storage.journal, audience=storage.notifier.device_lists
    )
    return AccountServices(
        access_tokens=access_tokens,
        addresses=addresses,
        devices=Devices(
            database=database, access_tokens=access_tokens, announce=device_lists.announce
        ),
        device_lists=device_lists,
        interactive=interactive,
        jwt_logins=_jwt_logins(configuration, runtime, registration),
        logins=logins,
        passwords=passwords,
        reauthentication=Reauthentication(database=database, interactive=interactive, stages=stages),
        registration=registration,
        registration_tokens=RegistrationTokens(
            database=database, registration=registration, clock=clock, randomness=randomness
        ),
        stages=stages,
        upstream_stage=upstream_stage,
    )


def _stages(
    configuration: Configuration, runtime: Runtime, logins: Logins, registration: Registration,
    addresses: AddressStages | None, upstream_stage: UpstreamStage,
) -> Stages:  # fmt: skip
    policies = configuration.terms.policies
    return Stages(
        logins=logins, registration=registration, terms=Terms(policies) if policies else None,
        recaptcha=_recaptcha(configuration, runtime), addresses=addresses, single_sign_on=upstream_stage,
    )  # fmt: skip


def _upstream_stage(configuration: Configuration, storage: Storage) -> UpstreamStage:
    provider_ids = [one.id for one in configuration.sign_in.providers]
    return UpstreamStage(
        database=storage.database, provider_ids=provider_ids, base_url=base_url_of(configuration)
    )


def _passwords(configuration: Configuration) -> Passwords:
    cost = configuration.passwords
    return Passwords(
        memory_kib=cost.memory_kib,
        time_cost=cost.time_cost,
        parallelism=cost.parallelism,
        length_min=cost.length_min,
    )


def _jwt_logins(
    configuration: Configuration, runtime: Runtime, registration: Registration
) -> JwtLogins | None:
    section = configuration.jwt
    if not section.secret_or_key:
        return None
    rules = JwtRules(
        secret_or_key=section.secret_or_key,
        algorithm=section.algorithm,
        issuer=section.issuer,
        audiences=section.audiences,
        subject_claim=section.subject_claim,
        display_name_claim=section.display_name_claim,
        creates_accounts=section.creates_accounts,
        leeway_ms=section.leeway_ms,
    )
    return JwtLogins(rules=rules, registration=registration, clock=runtime.clock)


def _recaptcha(configuration: Configuration, runtime: Runtime) -> Recaptcha | None:
    section = configuration.recaptcha
    if not section.public_key:
        return None
    return Recaptcha(
        outgoing=runtime.outgoing,
        public_key=section.public_key,
        private_key=section.private_key,
        verify_url=section.verify_url,
        script_url=section.script_url,
    )


def _parameters_key(token_key: Ed25519PrivateKey) -> bytes:
    """A secret that outlives the process, so that sessions of authentication do; it is of no other use."""
    secret = token_key.private_bytes_raw()
    return hashlib.blake2b(secret, digest_size=32, person=b"uia-parameters").digest()
