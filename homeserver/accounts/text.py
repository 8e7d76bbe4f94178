"""Bounds on the short texts that clients choose: device IDs and display names."""

from homeserver.core.errors import InvalidParam

__all__ = ["DEVICE_ID_CHARACTERS_MAX", "DEVICE_NAME_CHARACTERS_MAX", "check_text", "storable"]

DEVICE_ID_CHARACTERS_MAX = 255
DEVICE_NAME_CHARACTERS_MAX = 256


def storable(text: str) -> bool:
    """Whether PostgreSQL can hold the text: no NUL, no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def check_text(text: str, what: str, *, characters_max: int, characters_min: int = 0) -> None:
    """Refuse a text that is too long, too short or cannot be stored.

    Raises:
        InvalidParam: it is.
    """
    if not characters_min <= len(text) <= characters_max:
        raise InvalidParam(f"{what} must have {characters_min} to {characters_max} characters.")
    if not storable(text):
        raise InvalidParam(f"{what} must not hold NUL characters or halves of surrogate pairs.")
