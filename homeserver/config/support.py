"""The section of the configuration on who helps people with this server."""

from collections.abc import Iterator
from dataclasses import dataclass

from homeserver.config import checks
from homeserver.config.keys import key
from homeserver.core.identifiers import is_namespaced_identifier, parse_user_id

__all__ = ["Contact", "SupportSection", "support_mistakes"]


def _user_id(value: str) -> str | None:
    if value:
        try:
            parse_user_id(value)
        except ValueError:
            return "a user ID"
    return None


def _role(value: str) -> str | None:
    return None if is_namespaced_identifier(value) else "m.role.admin, m.role.security or a name of your own"


def _page(value: str) -> str | None:
    return None if value == "" else checks.web_page(value)


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody to turn to."""

    role: str = key("m.role.admin", "m.role.admin, or m.role.security for what is sensitive", check=_role)
    matrix_id: str = key(
        "", "their user ID; best on another server", example="@admin:example.com", check=_user_id
    )
    email_address: str = key("", "their e-mail address", example="admin@example.org")


@dataclass(frozen=True, slots=True)
class SupportSection:
    """Who helps people with this server; told in .well-known/matrix/support."""

    contacts: tuple[Contact, ...] = key((), "people; none: not told")
    page: str = key("", "a page of help; empty: none", example="https://example.org/support", check=_page)


def support_mistakes(made: SupportSection) -> Iterator[tuple[str, str, str]]:
    """Contacts whom nobody can reach: where, what was found, what was expected."""
    for place, one in enumerate(made.contacts):
        if not one.matrix_id and not one.email_address:
            yield f"support.contacts[{place}]", "neither", "a matrix_id or an email_address"
