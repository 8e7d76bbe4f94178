"""Puts together signing in by other services: the providers, the way there and back, and the SSO redirect."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clients.endpoints.sso_redirect import SsoRedirectEndpoints
from clients.oauth.browser import Browser
from clients.oauth.sso import SsoEndpoints
from clients.oauth.upstream import UpstreamEndpoints
from homeserver.accounts.account_data import AccountData
from homeserver.accounts.oauth.browser_sessions import BrowserSessions
from homeserver.accounts.short_lived_tokens import ShortLivedTokens
from homeserver.accounts.sso.attempts import SignInAttempts
from homeserver.accounts.sso.confirmations import SsoConfirmations, UpstreamStage
from homeserver.accounts.sso.newcomers import Newcomers, RegistrationPolicy
from homeserver.accounts.sso.provider import Provider
from homeserver.app.base_url import base_url_of
from homeserver.app.build_accounts import AccountServices
from homeserver.app.storage import Runtime, Storage
from homeserver.config.model import Configuration
from homeserver.config.sign_in import SignInProvider

__all__ = ["SignInServices", "build_sign_in", "sign_in_owners"]


@dataclass(frozen=True, slots=True)
class SignInServices:
    """What the pages of signing in by other services call."""

    attempts: SignInAttempts
    confirmations: SsoConfirmations
    newcomers: Newcomers
    stage: UpstreamStage


def build_sign_in(
    configuration: Configuration, runtime: Runtime, storage: Storage, accounts: AccountServices,
    account_data: AccountData,
) -> SignInServices:  # fmt: skip
    """Make the services of signing in by other services."""
    database, clock = storage.database, runtime.clock
    providers = {
        rules.id: Provider(
            rules=rules, client_secret=_secret_of(rules), outgoing=runtime.outgoing, clock=clock
        )
        for rules in configuration.sign_in.providers
    }
    policy = RegistrationPolicy(
        configuration.registration.mode, needs_email=configuration.registration.requires_email
    )
    return SignInServices(
        attempts=SignInAttempts(
            database=database, providers=providers, base_url=base_url_of(configuration), clock=clock,
            randomness=runtime.randomness, observer=runtime.observer,
        ),
        confirmations=SsoConfirmations(database=database, interactive=accounts.interactive),
        newcomers=Newcomers(
            database=database, providers=providers, registration=accounts.registration, policy=policy,
            terms=accounts.stages.terms, account_data=account_data, clock=clock,
        ),
        stage=accounts.upstream_stage,
    )  # fmt: skip


def sign_in_owners(
    configuration: Configuration, services: SignInServices, sessions: BrowserSessions,
    tokens: ShortLivedTokens, base_url: str,
) -> Iterator[object]:  # fmt: skip
    """What declares the endpoints and pages.

    Args:
        configuration: of the server.
        services: what they call.
        sessions: knows who is signed in on the web pages.
        tokens: makes login tokens.
        base_url: where browsers reach this server.
    """
    if not configuration.oauth.enabled:
        return
    browser = Browser(sessions=sessions, base_url=base_url)
    section = configuration.sign_in
    yield SsoRedirectEndpoints(provider_ids=[one.id for one in section.providers], base_url=base_url)
    yield SsoEndpoints(browser=browser, tokens=tokens, trusted_redirects=section.trusted_redirects)
    if section.providers:
        yield UpstreamEndpoints(
            browser=browser, attempts=services.attempts, newcomers=services.newcomers,
            confirmations=services.confirmations, stage=services.stage,
        )  # fmt: skip


def _secret_of(rules: SignInProvider) -> str:
    if not rules.client_secret_file:
        return rules.client_secret
    return Path(rules.client_secret_file).read_text("utf-8").strip()
