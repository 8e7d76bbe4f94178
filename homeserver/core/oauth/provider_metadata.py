"""What an OpenID Connect provider says of itself, and which URLs of it are good enough.

Spec: OpenID Connect Discovery 1.0, sections 3 and 4
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

__all__ = ["MetadataError", "ProviderMetadata", "discovery_url", "is_provider_url", "parse_metadata"]

_URL = re.compile(r"https?://[!-~]+")
_URL_CHARACTERS_MAX = 2_000


class MetadataError(Exception):
    """A provider's metadata cannot be used; the message is for the operator."""


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """Where a provider's endpoints are.

    Attributes:
        authorization_endpoint: where browsers are sent.
        token_endpoint: where codes are exchanged.
        jwks_uri: where the keys are.
        userinfo_endpoint: tells more of who has signed in; empty: nothing does.
        answers_with_issuer: whether answers to browsers must name the issuer (RFC 9207).
    """

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    answers_with_issuer: bool = False


def discovery_url(issuer: str) -> str:
    """Where the metadata of an issuer is."""
    return issuer.rstrip("/") + "/.well-known/openid-configuration"


def is_provider_url(text: str) -> bool:
    """Whether a URL is one of HTTPS; plain HTTP is good enough on this machine only."""
    if len(text) > _URL_CHARACTERS_MAX or _URL.fullmatch(text) is None:
        return False
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment:
        return False
    return parts.scheme == "https" or _is_this_machine(host)


def parse_metadata(document: Any, issuer: str) -> ProviderMetadata:
    """Read a document that was found by discovery.

    Raises:
        MetadataError: it is another issuer's, or lacks what is needed.
    """
    if not isinstance(document, Mapping):
        raise MetadataError("the metadata is no JSON object")
    if document.get("issuer") != issuer:
        raise MetadataError("the metadata is that of another issuer")
    methods = document.get("code_challenge_methods_supported")
    if isinstance(methods, list) and "S256" not in methods:
        raise MetadataError("the provider does not support PKCE with S256")
    return ProviderMetadata(
        authorization_endpoint=_url(document, "authorization_endpoint"),
        token_endpoint=_url(document, "token_endpoint"),
        jwks_uri=_url(document, "jwks_uri"),
        userinfo_endpoint=_url(document, "userinfo_endpoint") if "userinfo_endpoint" in document else "",
        answers_with_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _url(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not is_provider_url(value):
        raise MetadataError(f"the metadata has no {name} with https")
    return value


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
