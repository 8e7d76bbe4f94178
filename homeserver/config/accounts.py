"""The sections of the configuration that say how people get and keep accounts."""

from dataclasses import dataclass
from typing import Literal

from homeserver.config import checks
from homeserver.config.keys import key

__all__ = ["Policy", "RecaptchaSection", "RegistrationMode", "RegistrationSection", "TermsSection"]

RegistrationMode = Literal["open", "token", "closed"]


@dataclass(frozen=True, slots=True)
class RegistrationSection:
    """Who may make an account."""

    mode: RegistrationMode = key(
        "closed", "open, token or closed", example="token"
    )
    shared_secret: str = key(
        "",
        "who has it may make users through the admin API; empty: one made up, in the data directory",
        example="a long random text",
        secret=True,
    )
    tokens: tuple[str, ...] = key(
        (), "registration tokens that mode token accepts", example=("welcome-2026",), secret=True
    )
    guests: bool = key(default=False, meaning="true: anyone gets a guest account who asks for one")


@dataclass(frozen=True, slots=True)
class Policy:
    """One document that new users accept, in one language."""

    policy_id: str = key("terms_of_service", "the same for all its languages", check=checks.opaque_identifier)
    version: str = key("1", "of the document", check=checks.opaque_identifier)
    language: str = key("en", "of this text of it", check=checks.language)
    name: str = key("Terms of service", "as users are shown it")
    url: str = key("", "where it is read", example="https://example.org/terms", check=checks.web_page)


@dataclass(frozen=True, slots=True)
class TermsSection:
    """What new users accept."""

    policies: tuple[Policy, ...] = key((), "documents; none: nothing is to be accepted")


@dataclass(frozen=True, slots=True)
class RecaptchaSection:
    """A riddle that new users solve."""

    public_key: str = key("", "site key; empty: no riddle", example="6Lc…")
    private_key: str = key("", "secret key", secret=True)
    verify_url: str = key(
        "https://www.google.com/recaptcha/api/siteverify", "where answers are checked", check=checks.web_page
    )
    script_url: str = key(
        "https://www.google.com/recaptcha/api.js", "what shows the riddle in a browser", check=checks.web_page
    )
