"""The section of the configuration on signing in by OpenID Connect providers, and on the SSO redirect."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from homeserver.config.keys import key
from homeserver.core.identifiers import is_namespaced_identifier, is_opaque_identifier
from homeserver.core.oauth.client_redirects import redirect_of
from homeserver.core.oauth.id_token import ALGORITHMS
from homeserver.core.oauth.provider_metadata import is_provider_url

__all__ = ["NewAccounts", "SignInProvider", "SignInSection", "sign_in_mistakes"]

NewAccounts = Literal["as_registration", "always", "never"]
ClientAuthentication = Literal["basic", "post"]

_ISSUER = "https://sso.example.org/realms/company"
_ID_CHARACTERS_MAX = 64
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


def _id(value: str) -> str | None:
    fits = is_opaque_identifier(value) and len(value) <= _ID_CHARACTERS_MAX and value.strip(".")
    return None if fits else f"1 to {_ID_CHARACTERS_MAX} of the characters A-Z, a-z, 0-9 and ._~-"


def _url(value: str) -> str | None:
    expected = "a URL with https:// (http:// on this machine only)"
    return None if not value or is_provider_url(value) else expected


def _file(value: str) -> str | None:
    try:
        return None if not value or Path(value).read_text("utf-8").strip() else "a file with a secret in it"
    except (OSError, UnicodeDecodeError) as error:
        return f"a file that can be read ({type(error).__name__})"


def _scopes(values: tuple[str, ...]) -> str | None:
    are_good = all(value and all("!" <= one <= "~" and one not in '"\\' for one in value) for value in values)
    return None if are_good and "openid" in values else "a list of scopes with openid among them"


def _algorithms(values: tuple[str, ...]) -> str | None:
    are_known = values and set(values) <= set(ALGORITHMS)
    return None if are_known else "a list of at least one of " + ", ".join(ALGORITHMS)


def _icon(value: str) -> str | None:
    return None if not value or value.startswith("mxc://") else "an mxc:// URI"


def _brand(value: str) -> str | None:
    return None if not value or is_namespaced_identifier(value) else "a word such as google, in lower case"


def _redirects(values: tuple[str, ...]) -> str | None:
    are_good = all(redirect_of(value) == value and "?" not in value and "#" not in value for value in values)
    return None if are_good else "a list of URLs without ? and #"


@dataclass(frozen=True, slots=True)
class SignInProvider:
    """One OpenID Connect provider. Its redirect URI here is PUBLIC_BASE_URL/account/upstream/ID/callback."""

    id: str = key("", "names it in URLs and in storage; never to be changed", example="company", check=_id)
    name: str = key("", "as people are shown it; empty: its id", example="Company login")
    issuer: str = key("", "its issuer, to the letter", example=_ISSUER, check=_url)
    client_id: str = key("", "of this server there", example="isthmus")
    client_secret: str = key("", "of this server there; empty: none, or in a file", secret=True)
    client_secret_file: str = key(
        "", "file with that secret, and nothing else", example="/etc/isthmus/sso.secret", check=_file
    )
    client_authentication: ClientAuthentication = key("basic", "basic or post: how the secret is sent")
    scopes: tuple[str, ...] = key(("openid", "profile", "email"), "that are asked for", check=_scopes)
    icon: str = key("", "picture that clients show", example="mxc://example.org/abc123", check=_icon)
    brand: str = key("", "known brand that clients can show in its own way", example="google", check=_brand)
    discovery: bool = key(default=True, meaning="false: its endpoints are the four below")
    authorization_endpoint: str = key("", "where browsers are sent", example=_ISSUER + "/auth", check=_url)
    token_endpoint: str = key("", "where codes are exchanged", example=_ISSUER + "/token", check=_url)
    userinfo_endpoint: str = key(
        "", "tells more of people; may be empty", example=_ISSUER + "/userinfo", check=_url
    )
    jwks_uri: str = key("", "where its keys are", example=_ISSUER + "/certs", check=_url)
    algorithms: tuple[str, ...] = key(
        ("RS256", "PS256", "ES256"), "signatures of ID tokens that are accepted", check=_algorithms
    )
    localpart_claim: str = key("preferred_username", "claim with the user name; empty: people choose")
    display_name_claim: str = key("name", "claim with the display name of new users; empty: none")
    email_claim: str = key("email", "claim with the e-mail address of new users; empty: none")
    new_accounts: NewAccounts = key(
        "as_registration", "as_registration, always or never: who gets an account with the first sign-in"
    )
    asks_for_user_name: bool = key(default=False, meaning="true: new users may change the name of the claim")
    links_existing_accounts: bool = key(
        default=False,
        meaning="true: who has a user name there gets the account of that name here, so be sure of it",
    )


@dataclass(frozen=True, slots=True)
class SignInSection:
    """Signing in by other services."""

    trusted_redirects: tuple[str, ...] = key(
        (), "clients that get a login token without a question; what is below these URLs is too",
        example=("https://app.example.org/",), check=_redirects,
    )  # fmt: skip
    providers: tuple[SignInProvider, ...] = key((), "OpenID Connect providers; none: passwords only")


def sign_in_mistakes(section: SignInSection, *, has_pages: bool) -> Iterator[tuple[str, str, str, str]]:
    """What no key shows alone: key, what was found, what is expected, and an example.

    Args:
        section: to look at.
        has_pages: whether there are the pages of OAuth 2.0, on which people sign in.
    """
    if section.providers and not has_pages:
        yield "oauth.enabled", "false", "true with sign_in.providers: they need its pages", "true"
    ids = [one.id for one in section.providers]
    for place, one in enumerate(section.providers):
        path = f"sign_in.providers[{place}]."
        needed = {"id": "company", "issuer": _ISSUER, "client_id": "isthmus"}
        if not one.discovery:
            needed |= {name: f"{_ISSUER}/{name}" for name in _ENDPOINTS}
        for name, example in needed.items():
            if not getattr(one, name):
                yield path + name, "none", "a value, for every provider", repr(example)
        if one.id and ids.index(one.id) < place:
            yield path + "id", repr(one.id), "another id than that of the other providers", "'other'"
        if one.client_secret and one.client_secret_file:
            yield path + "client_secret_file", "two secrets", "it, or client_secret, not both", ""
