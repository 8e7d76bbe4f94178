"""The documents that new users accept.

Spec: https://spec.matrix.org/v1.19/client-server-api/#terms-of-service-at-registration
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["TERMS", "Document", "Terms"]

TERMS = "m.login.terms"


class _Policy(Protocol):
    """One document in one language, as the configuration has it."""

    @property
    def policy_id(self) -> str:
        """The same for all languages."""

    @property
    def version(self) -> str:
        """Of the document."""

    @property
    def language(self) -> str:
        """Of this text."""

    @property
    def name(self) -> str:
        """As users are shown it."""

    @property
    def url(self) -> str:
        """Where it is read."""


@dataclass(frozen=True, slots=True)
class Document:
    """What a page needs to show of a document.

    Attributes:
        name: as users are shown it.
        url: where it is read.
    """

    name: str
    url: str


class Terms:
    """Knows the documents.

    Args:
        policies: in every language, those of one document beside each other or not.
    """

    def __init__(self, policies: Sequence[_Policy]) -> None:
        self._policies = tuple(policies)

    def params(self) -> dict[str, Any]:
        """What clients are told of the stage."""
        told: dict[str, dict[str, Any]] = {}
        for one in self._policies:
            entry = told.setdefault(one.policy_id, {"version": one.version})
            entry[one.language] = {"name": one.name, "url": one.url}
        return {"policies": told}

    def documents(self) -> list[Document]:
        """Every text, for a page that does not know which language its reader wants."""
        return [Document(one.name, one.url) for one in self._policies]

    def urls(self) -> list[str]:
        """What goes into the account data `m.accepted_terms` of who has accepted."""
        return [one.url for one in self._policies]
