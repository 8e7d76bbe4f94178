"""The content of the member events that this server makes. No awaits here."""

from typing import Any

__all__ = ["SHOWN", "member_content", "shown_in", "with_profile"]

SHOWN = ("displayname", "avatar_url")
"""What a member event tells of a profile."""

# A join that was vouched for once needs that no more.
_RENEWED = frozenset((*SHOWN, "join_authorised_via_users_server"))


def shown_in(profile: dict[str, Any]) -> dict[str, Any]:
    """Pick what a member event tells of a profile."""
    return {key: profile[key] for key in SHOWN if isinstance(profile.get(key), str)}


def member_content(
    membership: str, profile: dict[str, Any] | None = None, reason: str | None = None
) -> dict[str, Any]:
    """Make the content of a member event."""
    content: dict[str, Any] = {"membership": membership}
    if profile is not None:
        content.update(shown_in(profile))
    if reason is not None:
        content["reason"] = reason
    return content


def with_profile(content: dict[str, Any], profile: dict[str, Any]) -> dict[str, Any] | None:
    """Bring the content of a join up to date; None if it tells the same of the profile already."""
    shown = shown_in(profile)
    if shown == shown_in(content):
        return None
    return {key: value for key, value in content.items() if key not in _RENEWED} | shown
