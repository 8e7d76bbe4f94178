import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeserver.core.identifiers import is_valid_localpart
from homeserver.core.oauth.id_token import Expected, IdTokenError, check_access_token, check_claims
from homeserver.core.oauth.provider_metadata import (
    MetadataError,
    discovery_url,
    is_provider_url,
    parse_metadata,
)
from homeserver.core.oauth.upstream_claims import ClaimNames, person_of

NOW_S = 1_800_000_000
EXPECTED = Expected("https://sso.example.org", "isthmus", "n0nce", NOW_S, 60)
CLAIMS = {
    "iss": "https://sso.example.org", "aud": "isthmus", "nonce": "n0nce", "sub": "1",
    "iat": NOW_S, "exp": NOW_S + 1,
}  # fmt: skip
NAMES = ClaimNames("preferred_username", "name", "email")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def test_a_good_token_tells_its_subject():
    assert check_claims(CLAIMS, EXPECTED) == "1"
    assert check_claims({**CLAIMS, "aud": ["isthmus"]}, EXPECTED) == "1"
    assert check_claims({**CLAIMS, "aud": ["other", "isthmus"], "azp": "isthmus"}, EXPECTED) == "1"


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("exp", NOW_S - 59, NOW_S - 60),
        ("iat", NOW_S + 60, NOW_S + 61),
        ("nbf", NOW_S + 60, NOW_S + 61),
    ],
)
def test_clocks_may_differ_by_the_leeway_and_no_more(name, good, bad):
    check_claims({**CLAIMS, name: good}, EXPECTED)

    with pytest.raises(IdTokenError, match=name):
        check_claims({**CLAIMS, name: bad}, EXPECTED)


@pytest.mark.parametrize("name", ["iss", "aud", "nonce", "sub", "iat", "exp"])
@given(value=json_values)
def test_no_other_value_is_good_in_place_of_a_claim(name, value):
    claims = {**CLAIMS, name: value}
    try:
        subject = check_claims(claims, EXPECTED)
    except IdTokenError:
        return

    # Numbers may be written in several ways, and any text is a subject.
    assert name in {"iat", "exp", "sub"} or value in (CLAIMS[name], [CLAIMS[name]])
    assert subject == claims["sub"]


@pytest.mark.parametrize("name", ["iss", "aud", "nonce", "sub", "iat", "exp"])
def test_no_claim_may_lack(name):
    with pytest.raises(IdTokenError, match=name):
        check_claims({key: value for key, value in CLAIMS.items() if key != name}, EXPECTED)


def test_the_hash_of_the_access_token_is_that_of_the_specification():
    # The example of OpenID Connect Core 1.0, appendix A.3 to A.6.
    claims = {"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}
    check_access_token(claims, "RS256", "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y")

    with pytest.raises(IdTokenError):
        check_access_token(claims, "RS256", "another")
    with pytest.raises(IdTokenError):
        check_access_token({"at_hash": None}, "RS256", "another")
    check_access_token({}, "RS256", "another")


@pytest.mark.parametrize(
    ("url", "is_good"),
    [
        ("https://sso.example.org/a?b=c", True), ("http://127.0.0.1:1/a", True), ("http://localhost/a", True),
        ("http://[::1]/a", True), ("http://sso.example.org/a", False), ("https://a@sso.example.org/", False),
        ("https:///a", False), ("https://sso.example.org/#a", False), ("https://sso example.org/", False),
        ("ftp://sso.example.org/", False), ("https://a:x/", False), ("", False),
        ("http://127.0.0.1.example.org/", False),
    ],
)  # fmt: skip
def test_providers_speak_https_or_are_on_this_machine(url, is_good):
    assert is_provider_url(url) is is_good


def test_the_metadata_is_below_the_issuer():
    assert discovery_url("https://a.b/c/") == "https://a.b/c/.well-known/openid-configuration"


@given(document=json_values)
def test_nonsense_is_no_metadata(document):
    with pytest.raises(MetadataError):
        parse_metadata(document, "https://sso.example.org")


@given(
    claims=st.dictionaries(
        st.sampled_from(["preferred_username", "name", "email", "email_verified"]), json_values | st.text()
    )
)
def test_whatever_a_provider_tells_becomes_something_that_can_be_stored_or_nothing(claims):
    person = person_of("1", claims, NAMES)

    assert person.localpart is None or is_valid_localpart(person.localpart)
    for text in (person.display_name, person.email):
        assert text is None or (text and "\0" not in text and text.encode())
    if person.is_exact:
        assert person.localpart == claims["preferred_username"].lower()


@pytest.mark.parametrize(("flag", "email"), [(True, "a@b.c"), ("true", "a@b.c"), ("false", None), ([], None)])
def test_only_a_verified_address_counts(flag, email):
    assert person_of("1", {"email": "a@b.c", "email_verified": flag}, NAMES).email == email


def test_claims_that_nobody_wants_are_not_missed():
    assert ClaimNames("", "", "").lacking({}) is False
    assert NAMES.lacking({"preferred_username": 1, "name": 1}) is True
