"""Puts OAuth 2.0 together: clients, grants, and the web pages."""

from collections.abc import Iterator
from dataclasses import dataclass

from clients.endpoints.rendezvous_json import RendezvousJsonEndpoints
from clients.endpoints.rendezvous_text import RendezvousTextEndpoints
from clients.oauth.account import AccountPageEndpoints
from clients.oauth.account_password import PasswordPart
from clients.oauth.account_profile import ProfilePart
from clients.oauth.account_views import CROSS_SIGNING_RESET
from clients.oauth.authorize import AuthorizeEndpoints
from clients.oauth.browser import Browser
from clients.oauth.link import LinkEndpoints
from clients.oauth.paths import ACCOUNT
from clients.oauth.protocol import OAuthProtocolEndpoints
from clients.oauth.sign_in import SignInEndpoints
from homeserver.accounts.account_data import AccountData
from homeserver.accounts.addresses import EMAIL
from homeserver.accounts.oauth.browser_sessions import BrowserSessions
from homeserver.accounts.oauth.clients import OAuthClients
from homeserver.accounts.oauth.codes import AuthorizationCodes
from homeserver.accounts.oauth.connected_clients import ConnectedClients
from homeserver.accounts.oauth.cross_signing_resets import CrossSigningResets
from homeserver.accounts.oauth.device_grants import DeviceGrants
from homeserver.accounts.oauth.refresh_token_form import RefreshTokenForm
from homeserver.accounts.oauth.sessions import OAuthSessions
from homeserver.accounts.oauth.web_registration import WebRegistration
from homeserver.accounts.profile import ProfileChanges, Profiles
from homeserver.accounts.rendezvous import Rendezvous
from homeserver.accounts.token_format import TokenFormat
from homeserver.accounts.token_key import load_or_create_token_key
from homeserver.app.build_account_care import AccountCare
from homeserver.app.build_accounts import AccountServices
from homeserver.app.build_sign_in import SignInServices, build_sign_in
from homeserver.app.data_directory import DataDirectory
from homeserver.app.storage import Runtime, Storage
from homeserver.config.model import Configuration

__all__ = ["RESET_PATH", "OAuthServices", "build_oauth", "oauth_owners"]

RESET_PATH = f"{ACCOUNT}?action={CROSS_SIGNING_RESET}"
"""Where users approve that a client replaces their keys."""


@dataclass(frozen=True, slots=True)
class OAuthServices:
    """What the endpoints and pages of OAuth 2.0 call."""

    accounts: AccountServices
    browser_sessions: BrowserSessions
    clients: OAuthClients
    codes: AuthorizationCodes
    connected: ConnectedClients
    device_grants: DeviceGrants
    resets: CrossSigningResets
    sessions: OAuthSessions
    registration: WebRegistration
    sign_in: SignInServices


def build_oauth(
    configuration: Configuration, runtime: Runtime, storage: Storage, accounts: AccountServices,
    account_data: AccountData, data_directory: DataDirectory,
) -> OAuthServices:  # fmt: skip
    """Make the services of OAuth 2.0."""
    database, clock, randomness = storage.database, runtime.clock, runtime.randomness
    server_name, section = configuration.server_name, configuration.oauth
    key = load_or_create_token_key(data_directory.path / "token.key")
    clients = OAuthClients(
        database=database, clock=clock, clients_max=section.clients_max,
        unused_ms_max=section.client_unused_ms_max,
    )  # fmt: skip
    sessions = OAuthSessions(
        database=database, access_tokens=accounts.access_tokens, devices=accounts.devices,
        token_format=TokenFormat(key, server_name),
        refresh_form=RefreshTokenForm(key=key, server_name=server_name, randomness=randomness),
        clock=clock, lifetime_ms=configuration.tokens.access_token_lifetime_ms,
    )  # fmt: skip
    return OAuthServices(
        accounts=accounts,
        browser_sessions=BrowserSessions(
            database=database, logins=accounts.logins, clock=clock, randomness=randomness
        ),
        clients=clients,
        codes=AuthorizationCodes(
            database=database, clients=clients, sessions=sessions, clock=clock, randomness=randomness
        ),
        connected=ConnectedClients(database=database),
        device_grants=DeviceGrants(
            database=database, clients=clients, sessions=sessions, clock=clock, randomness=randomness
        ),
        resets=CrossSigningResets(
            database=database, interactive=accounts.interactive, enabled=section.enabled
        ),
        sessions=sessions,
        registration=WebRegistration(
            registration=accounts.registration, stages=accounts.stages, account_data=account_data,
            mode=configuration.registration.mode, needs_email=configuration.registration.requires_email,
        ),
        sign_in=build_sign_in(configuration, runtime, storage, accounts, account_data),
    )  # fmt: skip


def _rendezvous(runtime: Runtime, base_url: str) -> Iterator[object]:
    clock, randomness = runtime.clock, runtime.randomness
    minute = Rendezvous(clock=clock, randomness=randomness, lifetime_ms=60_000)
    yield RendezvousTextEndpoints(rendezvous=minute, base_url=base_url)
    minutes = Rendezvous(clock=clock, randomness=randomness, lifetime_ms=120_000)
    yield RendezvousJsonEndpoints(rendezvous=minutes, clock=clock)


def oauth_owners(
    configuration: Configuration, runtime: Runtime, oauth: OAuthServices, base_url: str, *,
    profiles: Profiles, profile_changes: ProfileChanges, care: AccountCare,
) -> Iterator[object]:  # fmt: skip
    """What declares the endpoints and pages.

    Args:
        configuration: of the server.
        runtime: clock and randomness.
        oauth: what they call.
        base_url: where browsers reach this server.
        profiles: shown on the account page.
        profile_changes: made there.
        care: what is done with accounts there.
    """
    if not configuration.oauth.enabled:
        return
    browser = Browser(sessions=oauth.browser_sessions, base_url=base_url)
    devices, addresses = oauth.accounts.devices, oauth.accounts.addresses
    yield AccountPageEndpoints(
        browser=browser, devices=devices, connected=oauth.connected,
        profile=ProfilePart(
            browser=browser, profiles=profiles, changes=profile_changes, threepids=addresses.threepids,
            identity_servers=addresses.identity_servers, randomness=runtime.randomness,
            sends_email=addresses.messages.can_reach(EMAIL),
        ),
        password=PasswordPart(browser=browser, changes=care.password_changes),
        deactivation=care.deactivation, resets=oauth.resets,
    )  # fmt: skip
    yield AuthorizeEndpoints(browser=browser, clients=oauth.clients, codes=oauth.codes, devices=devices)
    yield from _rendezvous(runtime, base_url)
    yield LinkEndpoints(browser=browser, device_grants=oauth.device_grants)
    yield OAuthProtocolEndpoints(
        clients=oauth.clients, codes=oauth.codes, device_grants=oauth.device_grants, sessions=oauth.sessions,
        base_url=base_url,
    )  # fmt: skip
    yield SignInEndpoints(
        browser=browser, registration=oauth.registration, server_name=configuration.server_name,
        providers={one.id: one.name or one.id for one in configuration.sign_in.providers},
    )  # fmt: skip
