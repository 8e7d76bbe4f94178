"""What a client says of itself when it registers.

Spec: https://spec.matrix.org/v1.19/client-server-api/#client-registration and RFC 7591
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from homeserver.core.oauth.errors import OAuthError
from homeserver.core.oauth.redirect_uris import (
    ApplicationType,
    problem_of_redirect_uri,
    shares_base,
    split_https,
)

__all__ = ["AUTHORIZATION_CODE", "DEVICE_CODE", "REFRESH_TOKEN", "ClientMetadata", "parse_client_metadata"]

AUTHORIZATION_CODE = "authorization_code"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the name of a grant type

_GRANT_TYPES = (AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE)
_REDIRECT_URIS_MAX = 20
_NAME_CHARACTERS_MAX = 200
_TRANSLATIONS_MAX = 100
_LINKS = ("logo_uri", "tos_uri", "policy_uri")
# A language tag; none of the registered ones is longer.
_LOCALIZED = re.compile(
    r"(client_name|logo_uri|tos_uri|policy_uri)#([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,4})"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ClientMetadata:
    """A client, as far as this server understands what it says.

    Attributes:
        client_uri: its web page; the other URIs are on the same host or below it.
        kind: of application.
        redirect_uris: where people may be sent back to.
        grant_types: those of ours that it may use.
        shown: what people are shown, with translations (`client_name`, `client_name#fr`, `tos_uri` …).
    """

    client_uri: str
    kind: ApplicationType
    redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...]
    shown: Mapping[str, str]

    @property
    def host(self) -> str:
        """The host that the client belongs to: what of it can be trusted, other than its name."""
        parts = split_https(self.client_uri)
        assert parts is not None, "it was checked at registration"
        return parts.hostname or ""

    def shown_as(self, field: str, languages: tuple[str, ...] = ()) -> str | None:
        """What to show of a field, in the first language that there is."""
        lower = {name.lower(): value for name, value in self.shown.items()}
        names = (f"{field}#{language}".lower() for language in languages)
        return next((lower[name] for name in (*names, field) if name in lower), None)

    def body(self) -> dict[str, Any]:
        """The metadata as JSON, as it is kept and told back."""
        uris = {"redirect_uris": list(self.redirect_uris)} if self.redirect_uris else {}
        return {
            **self.shown,
            **uris,
            "client_uri": self.client_uri,
            "application_type": self.kind,
            "grant_types": list(self.grant_types),
            "response_types": ["code"] if AUTHORIZATION_CODE in self.grant_types else [],
            "token_endpoint_auth_method": "none",
        }


def parse_client_metadata(given: Mapping[str, Any]) -> ClientMetadata:
    """Check what a client says of itself; what is not understood is left out.

    Raises:
        OAuthError: `invalid_redirect_uri`, or `invalid_client_metadata` for everything else.
    """
    client_uri = given.get("client_uri")
    parts = split_https(client_uri) if isinstance(client_uri, str) else None
    if parts is None or not isinstance(client_uri, str):
        raise _invalid("client_uri must be an https URI without user name and password.")
    kind = given.get("application_type", "web")
    if kind not in ("web", "native"):
        raise _invalid("application_type must be web or native.")
    method = given.get("token_endpoint_auth_method", "none")
    if method != "none":
        raise _invalid("Clients have no secrets here: token_endpoint_auth_method must be none.")
    grant_types = _words(given, "grant_types", AUTHORIZATION_CODE)
    response_types = _words(given, "response_types", "code")
    granted = tuple(name for name in _GRANT_TYPES if name in grant_types)
    if not {AUTHORIZATION_CODE, DEVICE_CODE} & set(granted):
        raise _invalid(f"grant_types must hold {AUTHORIZATION_CODE} or {DEVICE_CODE}.")
    if AUTHORIZATION_CODE in granted and "code" not in response_types:
        raise _invalid(f"response_types must hold code for {AUTHORIZATION_CODE}.")
    host = parts.hostname or ""
    uris = _redirect_uris(given, cast("ApplicationType", kind), host)
    if AUTHORIZATION_CODE in granted and not uris:
        raise OAuthError("invalid_redirect_uri", f"Give redirect_uris for {AUTHORIZATION_CODE}.")
    shown = _shown(given, host)
    return ClientMetadata(client_uri, cast("ApplicationType", kind), uris, granted, shown)


def _words(given: Mapping[str, Any], name: str, default: str) -> list[str]:
    value = given.get(name, [default])
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise _invalid(f"{name} must be a list of strings.")
    return value


def _redirect_uris(given: Mapping[str, Any], kind: ApplicationType, host: str) -> tuple[str, ...]:
    uris = given.get("redirect_uris", [])
    if not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris):
        raise OAuthError("invalid_redirect_uri", "redirect_uris must be a list of strings.")
    if len(uris) > _REDIRECT_URIS_MAX:
        raise OAuthError("invalid_redirect_uri", f"There may be at most {_REDIRECT_URIS_MAX} redirect_uris.")
    for uri in uris:
        problem = problem_of_redirect_uri(uri, kind, host)
        if problem is not None:
            raise OAuthError("invalid_redirect_uri", problem)
    return tuple(dict.fromkeys(uris))


def _shown(given: Mapping[str, Any], host: str) -> dict[str, str]:
    shown: dict[str, str] = {}
    translations = 0
    for name, value in given.items():
        localized = _LOCALIZED.fullmatch(name)
        field = localized[1] if localized is not None else name
        if field != "client_name" and field not in _LINKS:
            continue
        translations += localized is not None
        if translations > _TRANSLATIONS_MAX:
            raise _invalid(f"There may be at most {_TRANSLATIONS_MAX} translations.")
        _check_shown(name, field, value, host)
        shown[name] = value
    return shown


def _check_shown(name: str, field: str, value: Any, host: str) -> None:
    if not isinstance(value, str):
        raise _invalid(f"{name} must be a string.")
    if field == "client_name":
        if not 0 < len(value) <= _NAME_CHARACTERS_MAX or _CONTROL.search(value):
            raise _invalid(f"{name} must have 1 to {_NAME_CHARACTERS_MAX} characters that can be shown.")
        return
    parts = split_https(value)
    if parts is None or not shares_base(parts, host):
        raise _invalid(f"{name} must be an https URI on {host} or below it.")


def _invalid(description: str) -> OAuthError:
    return OAuthError("invalid_client_metadata", description)
