"""What a provider tells of somebody, turned into what an account here can have.

Spec: https://spec.matrix.org/v1.19/appendices/#user-identifiers
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeserver.core.identifiers import is_valid_localpart

__all__ = ["ClaimNames", "Person", "person_of"]

_LOCALPART_CHARACTERS_MAX = 200
_DISPLAY_NAME_CHARACTERS_MAX = 256


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """In which claims a provider tells what; empty: in none.

    Attributes:
        localpart: the user name.
        display_name: the name.
        email: the e-mail address, with `email_verified` beside it.
    """

    localpart: str
    display_name: str
    email: str

    def lacking(self, claims: Mapping[str, Any]) -> bool:
        """Whether something that is wanted is not told."""
        return any(name and name not in claims for name in (self.localpart, self.display_name, self.email))


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of somebody at a provider.

    Attributes:
        subject: what the provider calls them, for ever.
        localpart: that they could have here; None: none is told that could be one.
        is_exact: the localpart is the claim itself, but for upper case, and not made to fit.
        display_name: None: none is told.
        email: verified by the provider; None: none is.
    """

    subject: str
    localpart: str | None
    is_exact: bool
    display_name: str | None
    email: str | None


def person_of(subject: str, claims: Mapping[str, Any], names: ClaimNames) -> Person:
    """Read the claims of somebody who has signed in."""
    told = _text(claims, names.localpart)
    localpart = None if told is None else _localpart(told)
    name = _text(claims, names.display_name)
    is_verified = claims.get("email_verified") in (True, "true")
    return Person(
        subject,
        localpart,
        is_exact=told is not None and localpart == str(claims[names.localpart]).lower(),
        display_name=None if name is None else name[:_DISPLAY_NAME_CHARACTERS_MAX],
        email=_text(claims, names.email) if is_verified else None,
    )


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name) if name else None
    if not isinstance(value, str):
        return None
    text = value.strip()
    is_good = text and "\0" not in text and not any("\ud800" <= one <= "\udfff" for one in text)
    return text if is_good else None


def _localpart(told: str) -> str | None:
    """What is before an @, in lower case, without what a user ID cannot hold."""
    folded = told.lower()
    if not is_valid_localpart(folded):
        before = folded.partition("@")[0]
        folded = "".join(one if is_valid_localpart(one) else "-" for one in before).strip("-._")
    folded = folded.lstrip("_")[:_LOCALPART_CHARACTERS_MAX]
    return folded or None
