"""The sections of the configuration that say how people get and keep accounts."""

from dataclasses import dataclass
from typing import Literal

from homeserver.config import checks
from homeserver.config.keys import at_least, between, key

__all__ = [
    "IdentitySection", "JwtSection", "MailSection", "PhoneSection", "Policy", "RecaptchaSection",
    "RegistrationMode", "RegistrationSection", "TermsSection",
]  # fmt: skip

RegistrationMode = Literal["open", "token", "closed"]
MailTls = Literal["starttls", "tls", "none"]


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
    requires_email: bool = key(default=False, meaning="true: only with an e-mail address; needs [mail]")


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


@dataclass(frozen=True, slots=True)
class MailSection:
    """The mail server through which e-mail goes out."""

    host: str = key("", "its name; empty: no e-mail", example="smtp.example.org")
    port: int = key(587, "TCP port", check=between(1, 65_535))
    tls: MailTls = key("starttls", "starttls, tls (from the beginning) or none")
    username: str = key("", "to log in with; empty: without", example="isthmus")
    password: str = key("", "of that user", secret=True)
    sender: str = key("", "address that e-mail comes from", example="matrix@example.org")
    timeout_ms: int = key(15_000, "for one e-mail", check=between(100, 120_000))


@dataclass(frozen=True, slots=True)
class PhoneSection:
    """Text messages to phones."""

    sender: str = key(
        "", "module:factory of a package of yours that sends them; empty: none", example="our_sms:make_sender"
    )


@dataclass(frozen=True, slots=True)
class IdentitySection:
    """Identity servers, which tell others who has an e-mail address."""

    trusted_servers: tuple[str, ...] = key(
        (), "those that users may bind addresses at", example=("vector.im",), check=checks.server_names
    )


@dataclass(frozen=True, slots=True)
class JwtSection:
    """Logging in with a token (JWT) that another service has issued."""

    secret_or_key: str = key("", "secret, or public key in PEM; empty: no such login", secret=True)
    algorithm: str = key("HS256", "of its signature", check=checks.jwt_algorithm)
    issuer: str = key("", "iss that it must have; empty: any", example="https://sso.example.org")
    audiences: tuple[str, ...] = key((), "aud that it must have one of; none: any", example=("isthmus",))
    subject_claim: str = key("sub", "claim that holds the user name")
    display_name_claim: str = key("", "claim that names new users; empty: none", example="name")
    creates_accounts: bool = key(default=True, meaning="whether the first login makes the account")
    leeway_ms: int = key(60_000, "that clocks may differ by", check=at_least(0))
