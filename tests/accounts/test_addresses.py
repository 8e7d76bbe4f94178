import pytest

from homeserver.accounts.addresses import canonical_address, canonical_email, canonical_phone
from homeserver.core.errors import InvalidParam


@pytest.mark.parametrize(
    ("given", "canonical"),
    [("Alice@Example.ORG", "alice@example.org"), (" a+b@x.example.org ", "a+b@x.example.org")],
)
def test_email_addresses_are_folded(given, canonical):
    assert canonical_email(given) == canonical


@pytest.mark.parametrize(
    "address",
    [
        "", "a", "a@b", "@example.org", "a@b@example.org", "a b@example.org", "a,b@example.org",
        "a@example.org\r\nBcc: b@example.org", "<a@example.org>", "a\0@example.org", "a\ud800@example.org",
        "a" * 300 + "@example.org",
    ],
)  # fmt: skip
def test_what_is_no_email_address_is_refused(address):
    with pytest.raises(InvalidParam):
        canonical_email(address)


def test_phone_numbers_become_digits_with_the_country():
    assert canonical_phone("DE", "030 901820") == "4930901820"
    assert canonical_phone("", "+44 20 7946 0018") == "442079460018"
    assert canonical_address("msisdn", "442079460018") == "442079460018"


@pytest.mark.parametrize(
    ("country", "number"), [("DE", "x"), ("", "030 901820"), ("XX", "1"), ("DE", "1" * 500)]
)
def test_what_is_no_phone_number_is_refused(country, number):
    with pytest.raises(InvalidParam):
        canonical_phone(country, number)


def test_there_are_no_other_media():
    with pytest.raises(InvalidParam):
        canonical_address("fax", "1")
