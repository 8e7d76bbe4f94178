import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeserver.config.dump import dump
from homeserver.config.load import load
from homeserver.config.model import Configuration, Listener
from homeserver.config.parse import ConfigurationError, parse

GOLDEN = Path(__file__).parent / "golden"


def test_the_defaults_are_those_of_the_golden_page():
    assert dump(Configuration(), meanings=True) == (GOLDEN / "defaults.toml").read_text()


def test_a_dump_reads_back_as_the_same_configuration():
    configuration = load(None, {"ISTHMUS_REGISTRATION__SHARED_SECRET": 'quoted "secret" \\ é'})

    assert parse(tomllib.loads(dump(configuration, secrets=True))) == configuration


def test_a_dump_hides_secrets():
    written = dump(load(None, {"ISTHMUS_REGISTRATION__SHARED_SECRET": "sesame"}))

    assert "sesame" not in written
    assert 'shared_secret = "(hidden)"' in written


def test_without_a_file_anyone_may_register_from_this_machine():
    configuration = load(None, {})

    assert configuration.registration.mode == "open"
    assert [listener.address for listener in configuration.listeners] == ["127.0.0.1"]


def test_a_configured_server_starts_closed(tmp_path):
    file = tmp_path / "isthmus.toml"
    file.write_text('server_name = "example.org"\n')

    assert load(file, {}).registration.mode == "closed"


def test_without_a_file_a_listener_for_others_keeps_registration_closed():
    assert load(None, {"ISTHMUS_LISTENERS": '[{address = "0.0.0.0"}]'}).registration.mode == "closed"


def test_every_mistake_is_told_at_once_with_what_is_expected(tmp_path):
    file = tmp_path / "isthmus.toml"
    file.write_text(
        'server_name = "not a name"\nextra = 1\n[limits]\nbody_bytes_max = "big"\n'
        "[rate_limits.message]\nburst = 0\n"
        "[[listeners]]\nport = 99999\n[[listeners]]\ntls_key = 7\n[registration]\nshared_secret = 5\n"
    )

    with pytest.raises(ConfigurationError) as caught:
        load(file, {"ISTHMUS_ROOMS__DEFAULT_ROOM_VERSION": "99"})

    told = {mistake.key: str(mistake) for mistake in caught.value.mistakes}
    assert set(told) == {
        "server_name", "extra", "limits.body_bytes_max", "rate_limits.message.burst", "listeners[0].port",
        "listeners[1].tls_key", "registration.shared_secret", "rooms.default_room_version",
    }  # fmt: skip
    assert told["limits.body_bytes_max"] == (
        "limits.body_bytes_max: found 'big'; expected an integer, for example 1048576"
    )
    assert "found a secret" in told["registration.shared_secret"]


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"listeners": []}, "listeners"),
        ({"listeners": [{}, {}]}, "listeners"),
        ({"listeners": [{"tls_key": "k"}]}, "listeners[0].tls_key"),
        ({"terms": {"policies": [{"version": "2"}]}}, "terms.policies[0].url"),
        (
            {"retention": {"lifetime_ms_max": 86_400_000, "lifetime_ms_min": 86_400_001}},
            "retention.lifetime_ms_max",
        ),
        ({"retention": {"lifetime_ms_max": 31_536_000_001}}, "retention.lifetime_ms_max"),
        (
            {"retention": {"default_lifetime_ms": 86_400_000, "lifetime_ms_min": 86_400_001}},
            "retention.default_lifetime_ms",
        ),
        ({"retention": {"class_lifetimes_ms": [604_800_000, 86_400_000]}}, "retention.class_lifetimes_ms"),
        ({"retention": {"class_lifetimes_ms": []}}, "retention.class_lifetimes_ms"),
        ({"retention": {"lifetime_ms_min": 1}}, "retention.lifetime_ms_min"),
        ({"outgoing": {"allowed_ranges": ["ten"]}}, "outgoing.allowed_ranges"),
        ({"listeners": [{"apis": ["everything"]}]}, "listeners[0].apis"),
        ({"support": {"contacts": [{}]}}, "support.contacts[0]"),
        ({"support": {"contacts": [{"matrix_id": "admin"}]}}, "support.contacts[0].matrix_id"),
        ({"support": {"contacts": [{"role": "The Boss"}]}}, "support.contacts[0].role"),
        ({"support": {"page": "here"}}, "support.page"),
        ({"federation": {"allowed_servers": ["not a name"]}}, "federation.allowed_servers"),
        ({"federation": {"public_address": "https://example.org"}}, "federation.public_address"),
        ({"database": "here"}, "database"),
        ({"rate_limits": {"enabled": 1}}, "rate_limits.enabled"),
    ],
)
def test_what_cannot_be_is_refused(given, key):
    with pytest.raises(ConfigurationError) as caught:
        parse(given)

    assert [mistake.key for mistake in caught.value.mistakes] == [key]


PROVIDER = {"id": "company", "issuer": "https://sso.example.org", "client_id": "isthmus"}


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({}, []),
        ({"id": ""}, ["id"]),
        ({"id": "a b"}, ["id"]),
        ({"id": "x" * 65}, ["id"]),
        ({"issuer": "http://sso.example.org"}, ["issuer"]),
        ({"issuer": "http://127.0.0.1:8080/realms/company"}, []),
        ({"client_secret_file": "/nowhere/to/be/found"}, ["client_secret_file"]),
        ({"client_secret": "a", "client_secret_file": __file__}, ["client_secret_file"]),
        ({"client_authentication": "jwt"}, ["client_authentication"]),
        ({"scopes": ["profile"]}, ["scopes"]),
        ({"scopes": ["openid", "a b"]}, ["scopes"]),
        ({"algorithms": ["none"]}, ["algorithms"]),
        ({"algorithms": ["HS256"]}, ["algorithms"]),
        ({"algorithms": []}, ["algorithms"]),
        ({"icon": "https://sso.example.org/icon.png"}, ["icon"]),
        ({"brand": "Our Brand"}, ["brand"]),
        ({"new_accounts": "sometimes"}, ["new_accounts"]),
        ({"discovery": False}, ["authorization_endpoint", "token_endpoint", "jwks_uri"]),
        ({"token_endpoint": "sso.example.org"}, ["token_endpoint"]),
        ({"issuer": "nowhere", "scopes": [], "redirect": 1}, ["redirect", "issuer", "scopes"]),
    ],
)
def test_mistakes_in_a_provider_are_all_told(changes, keys):
    given = {"sign_in": {"providers": [PROVIDER | changes]}}
    told = []
    try:
        assert parse(given).sign_in.providers[0].client_id == "isthmus"
    except ConfigurationError as error:
        told = [mistake.key for mistake in error.mistakes]

    assert told == [f"sign_in.providers[0].{key}" for key in keys]


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"sign_in": {"providers": [{}]}}, "sign_in.providers[0].id"),
        ({"sign_in": {"providers": [PROVIDER, PROVIDER]}}, "sign_in.providers[1].id"),
        ({"sign_in": {"providers": [PROVIDER]}, "oauth": {"enabled": False}}, "oauth.enabled"),
        ({"sign_in": {"trusted_redirects": ["app.example.org"]}}, "sign_in.trusted_redirects"),
        ({"sign_in": {"trusted_redirects": ["https://app.example.org/?a=b"]}}, "sign_in.trusted_redirects"),
    ],
)
def test_what_providers_cannot_be_together_is_refused(given, key):
    with pytest.raises(ConfigurationError) as caught:
        parse(given)

    assert key in [mistake.key for mistake in caught.value.mistakes]


def test_a_mistake_in_a_provider_comes_with_an_example():
    with pytest.raises(ConfigurationError, match=r"for example 'https://sso\.example\.org/realms/company'"):
        parse({"sign_in": {"providers": [PROVIDER | {"issuer": "nowhere"}]}})


def test_the_secret_of_a_provider_is_hidden_in_a_dump_which_reads_back():
    configuration = parse({"sign_in": {"providers": [PROVIDER | {"client_secret": "sesame"}]}})

    assert "sesame" not in dump(configuration)
    assert parse(tomllib.loads(dump(configuration, secrets=True))) == configuration


def test_the_environment_overrides_the_file_and_keeps_the_other_keys(tmp_path):
    file = tmp_path / "isthmus.toml"
    file.write_text("[rate_limits.login]\nburst = 3\n")

    configuration = load(
        file,
        {
            "ISTHMUS_RATE_LIMITS__ENABLED": "false",
            "ISTHMUS_RATE_LIMITS__LOGIN__PER_SECOND": "2",
            "OTHER": "x",
        },
    )

    assert not configuration.rate_limits.enabled
    assert (configuration.rate_limits.login.burst, configuration.rate_limits.login.per_second) == (3, 2.0)
    assert configuration.rate_limits.join == Configuration().rate_limits.join


def test_an_unknown_variable_is_refused():
    with pytest.raises(ConfigurationError, match="one of server_name"):
        load(None, {"ISTHMUS_SERVERNAME": "x"})


def test_a_file_that_is_no_toml_is_refused(tmp_path):
    file = tmp_path / "isthmus.toml"
    file.write_text("server_name = ")

    with pytest.raises(ConfigurationError, match="expected TOML"):
        load(file, {})


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="a readable file"):
        load(tmp_path / "none.toml", {})


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    ["server_name", "listeners", "database", "dsn", "rate_limits", "message", "burst", "port"]
)


@given(
    st.dictionaries(
        names | st.text(max_size=5), st.dictionaries(names, values, max_size=3) | values, max_size=4
    )
)
def test_any_structure_is_either_a_configuration_or_told_as_mistakes(given):
    try:
        configuration = parse(given)
    except ConfigurationError as error:
        told = error.mistakes
        assert told
    else:
        assert all(isinstance(listener, Listener) for listener in configuration.listeners)
