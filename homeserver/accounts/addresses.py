"""The one canonical form of e-mail addresses and phone numbers.

Spec: https://spec.matrix.org/v1.19/appendices/#3pid-types
"""

import re

import phonenumbers

from homeserver.core.errors import InvalidParam

__all__ = ["EMAIL", "MSISDN", "canonical_address", "canonical_email", "canonical_phone"]

EMAIL = "email"
MSISDN = "msisdn"

_EMAIL_CHARACTERS_MAX = 254
_PHONE_CHARACTERS_MAX = 64
_ATOM = r"[^@\s\x00-\x20\x7f<>()\[\]\\,;:\"]"
_EMAIL = re.compile(_ATOM + r"{1,64}@" + _ATOM + r"+\.[^@\s.,;:<>\"]+")


def canonical_email(address: str) -> str:
    """An e-mail address, in lower case.

    Raises:
        InvalidParam: it is none.
    """
    folded = address.strip().casefold()
    has_halves = any("\ud800" <= character <= "\udfff" for character in folded)
    if len(folded) > _EMAIL_CHARACTERS_MAX or has_halves or not _EMAIL.fullmatch(folded):
        raise InvalidParam("That is no e-mail address.")
    return folded


def canonical_phone(country: str, number: str) -> str:
    """A phone number, as people of a country write it, in digits with the country's code.

    Args:
        country: two letters; may be empty if the number begins with a plus sign.
        number: as it was typed.

    Raises:
        InvalidParam: there is no such number.
    """
    if len(number) <= _PHONE_CHARACTERS_MAX:
        try:
            parsed = phonenumbers.parse(number, country.upper() or None)
        except phonenumbers.NumberParseException:
            parsed = None
        if parsed is not None and phonenumbers.is_possible_number(parsed):
            return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")
    raise InvalidParam("That is no phone number of that country.")


def canonical_address(medium: str, address: str) -> str:
    """An address of a medium, which is in canonical form already but for its case.

    Raises:
        InvalidParam: it is none, or there is no such medium.
    """
    if medium == EMAIL:
        return canonical_email(address)
    if medium == MSISDN:
        return canonical_phone("", "+" + address.removeprefix("+"))
    raise InvalidParam("The medium must be email or msisdn.")
