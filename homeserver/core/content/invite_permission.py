"""The content of `m.invite_permission_config`, account data: who may invite a user.

Spec: https://spec.matrix.org/v1.19/client-server-api/#invite-permission
"""

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["INVITE_PERMISSION_CONFIG", "blocks_invites_in"]

INVITE_PERMISSION_CONFIG: Final = "m.invite_permission_config"


def blocks_invites_in(content: Mapping[str, Any] | None) -> bool:
    """Whether the user of this content wants no invites at all; not if it is not understood."""
    return content is not None and content.get("default_action") == "block"
