"""Bodies of forms, as browsers and OAuth 2.0 clients send them."""

from collections.abc import Mapping
from urllib.parse import parse_qs

from homeserver.core.oauth.errors import OAuthError

__all__ = ["form_of", "required"]

_FIELDS_MAX = 30


def form_of(body: bytes) -> Mapping[str, str]:
    """The fields of an `application/x-www-form-urlencoded` body, each of which may be there once.

    Raises:
        OAuthError: `invalid_request`: it is no such body.
    """
    try:
        fields = parse_qs(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS_MAX
        )
    except ValueError:
        raise OAuthError("invalid_request", "The body must be a form, URL-encoded, in UTF-8.") from None
    for name, values in fields.items():
        if len(values) > 1:
            raise OAuthError("invalid_request", f"Give {name[:50]!a} once.")
        if "\0" in values[0] or "\0" in name:
            raise OAuthError("invalid_request", "The form must not hold the character NUL.")
    return {name: values[0] for name, values in fields.items()}


def required(form: Mapping[str, str], name: str) -> str:
    """A field that must be there.

    Raises:
        OAuthError: `invalid_request`: it is absent or empty.
    """
    value = form.get(name)
    if not value:
        raise OAuthError("invalid_request", f"Give {name}.")
    return value
