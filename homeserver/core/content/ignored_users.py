"""The content of `m.ignored_user_list`, account data: whom a user does not want to hear.

Spec: https://spec.matrix.org/v1.19/client-server-api/#ignoring-users
"""

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["IGNORED_USER_LIST", "ignored_users_in"]

IGNORED_USER_LIST: Final = "m.ignored_user_list"


def ignored_users_in(content: Mapping[str, Any] | None, user_id: str) -> frozenset[str]:
    """Name the users whom `user_id` ignores by this content; nobody if it is not understood.

    Clients may store anything: what is no user ID ignores nobody, and nobody ignores themselves.
    """
    listed = None if content is None else content.get("ignored_users")
    if not isinstance(listed, Mapping):
        return frozenset()
    return frozenset(name for name in listed if name.startswith("@") and name != user_id)
