import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeserver.core.oauth.client_metadata import parse_client_metadata
from homeserver.core.oauth.errors import OAuthError
from tests.doubles.oauth import METADATA


def without(name):
    return {key: value for key, value in METADATA.items() if key != name}


def test_what_is_understood_is_told_back_and_the_rest_left_out():
    given = METADATA | {
        "client_name#fr": "Parler",
        "tos_uri": "https://example.com/tos",
        "policy_uri#en-GB": "https://www.example.com/policy",
        "jwks_uri": "https://example.com/keys",
        "grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:token-exchange"],
    }

    metadata = parse_client_metadata(given)

    assert metadata.body() == {
        "client_name": "Talk",
        "client_name#fr": "Parler",
        "tos_uri": "https://example.com/tos",
        "policy_uri#en-GB": "https://www.example.com/policy",
        "client_uri": "https://example.com/",
        "application_type": "web",
        "redirect_uris": ["https://app.example.com/callback"],
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    }
    assert parse_client_metadata(metadata.body()) == metadata


@pytest.mark.parametrize(
    ("languages", "name"),
    [((), "Talk"), (("de",), "Talk"), (("de", "FR"), "Parler"), (("fr-CA", "fr"), "Parler")],
)
def test_the_name_is_shown_in_a_language_of_the_reader(languages, name):
    metadata = parse_client_metadata(METADATA | {"client_name#fr": "Parler"})

    assert metadata.shown_as("client_name", languages) == name


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        (without("client_uri"), "invalid_client_metadata"),
        (METADATA | {"client_uri": "http://example.com/"}, "invalid_client_metadata"),
        (METADATA | {"client_uri": "https://me@example.com/"}, "invalid_client_metadata"),
        (METADATA | {"client_uri": 7}, "invalid_client_metadata"),
        (METADATA | {"application_type": "service"}, "invalid_client_metadata"),
        (METADATA | {"application_type": []}, "invalid_client_metadata"),
        (METADATA | {"token_endpoint_auth_method": "client_secret_basic"}, "invalid_client_metadata"),
        (METADATA | {"grant_types": ["implicit"]}, "invalid_client_metadata"),
        (METADATA | {"grant_types": "authorization_code"}, "invalid_client_metadata"),
        (METADATA | {"response_types": ["token"]}, "invalid_client_metadata"),
        (METADATA | {"client_name": ""}, "invalid_client_metadata"),
        (METADATA | {"client_name": "x" * 201}, "invalid_client_metadata"),
        (METADATA | {"client_name": "Talk\u202eklaT"}, "invalid_client_metadata"),
        (METADATA | {"client_name": "\ud800"}, "invalid_client_metadata"),
        (METADATA | {"client_name#fr": 7}, "invalid_client_metadata"),
        (METADATA | {"logo_uri": "https://evil.org/logo.png"}, "invalid_client_metadata"),
        (METADATA | {"tos_uri#fr": "http://example.com/"}, "invalid_client_metadata"),
        (METADATA | {f"client_name#en-{place}": "x" for place in range(101)}, "invalid_client_metadata"),
        (METADATA | {"redirect_uris": []}, "invalid_redirect_uri"),
        (without("redirect_uris"), "invalid_redirect_uri"),
        (METADATA | {"redirect_uris": [7]}, "invalid_redirect_uri"),
        (METADATA | {"redirect_uris": ["https://evil.org/"]}, "invalid_redirect_uri"),
        (
            METADATA | {"redirect_uris": [f"https://example.com/{place}" for place in range(21)]},
            "invalid_redirect_uri",
        ),
    ],
)
def test_metadata_that_cannot_be_trusted_is_refused(changed, error):
    with pytest.raises(OAuthError) as raised:
        parse_client_metadata(changed)

    assert raised.value.code == error
    assert raised.value.error


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*METADATA, "client_name#fr", "logo_uri"]) | st.text(), json_values))
def test_anything_is_either_metadata_or_an_error(changes):
    try:
        metadata = parse_client_metadata(METADATA | changes)
    except OAuthError as error:
        assert error.code in {"invalid_client_metadata", "invalid_redirect_uri"}  # noqa: PT017 - either is fine
    else:
        assert parse_client_metadata(metadata.body()) == metadata
