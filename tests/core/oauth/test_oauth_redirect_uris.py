import pytest

from homeserver.core.oauth.redirect_uris import is_registered, problem_of_redirect_uri


@pytest.mark.parametrize(
    ("kind", "uri"),
    [
        ("web", "https://example.com/callback"),
        ("web", "https://app.example.com/callback"),
        ("web", "https://example.com:5173/?query=value"),
        ("native", "https://example.com/callback"),
        ("native", "com.example.app:/callback"),
        ("native", "com.example:/"),
        ("native", "com.example:callback"),
        ("native", "http://localhost/callback"),
        ("native", "http://127.0.0.1/callback"),
        ("native", "http://[::1]/callback"),
    ],
)
def test_the_specifications_valid_redirect_uris_are_accepted(kind, uri):
    assert problem_of_redirect_uri(uri, kind, "example.com") is None


@pytest.mark.parametrize(
    ("kind", "uri"),
    [
        ("web", "https://example.com/callback#fragment"),
        ("web", "https://example.com/callback#"),
        ("web", "http://example.com/callback"),
        ("web", "http://localhost/"),
        ("web", "com.example.app:/callback"),
        ("web", "https://user@example.com/"),
        ("web", "https://user:password@example.com/"),
        ("web", "https://badexample.com/"),
        ("web", "https://example.com.evil.org/"),
        ("web", "https://evil.org/https://example.com/"),
        ("web", "https://evil.org\\@example.com/"),
        ("web", "https://evil.org%2f@example.com/"),
        ("web", "https://example.com:port/"),
        ("web", "https:///callback"),
        ("web", "https://example.com/ space"),
        ("web", "https://example.com/\n"),
        ("web", "https://éxample.com/"),
        ("web", "https://example.com/" + "x" * 2_048),
        ("web", "/callback"),
        ("web", ""),
        ("native", "example:/callback"),
        ("native", "com.example.app://callback"),
        ("native", "com.examples:/callback"),
        ("native", "com.example.app:/callback#"),
        ("native", "https://localhost/callback"),
        ("native", "http://localhost:1234/callback"),
        ("native", "http://localhost:/callback"),
        ("native", "http://user@localhost/callback"),
        ("native", "http://127.0.0.2/callback"),
        ("native", "http://localhost.example.com/callback"),
        ("native", "http://[::1]:80/callback"),
        ("native", "javascript:alert(1)"),
    ],
)
def test_other_redirect_uris_are_refused_with_a_reason(kind, uri):
    assert problem_of_redirect_uri(uri, kind, "example.com")


@pytest.mark.parametrize("host", ["javascript", "data", "about"])
def test_a_host_without_dots_gives_nobody_a_scheme_that_means_something_else(host):
    assert problem_of_redirect_uri(f"{host}:x", "native", host)


@pytest.mark.parametrize(
    ("kind", "uri", "expected"),
    [
        ("native", "http://127.0.0.1:5000/callback", True),
        ("native", "http://[::1]:5000/callback", True),
        ("native", "http://127.0.0.1/callback", True),
        ("web", "http://127.0.0.1:5000/callback", False),
        ("native", "http://127.0.0.1:5000/other", False),
        ("native", "http://127.0.0.1:5000/callback?a", False),
        ("native", "http://localhost:5000/callback", False),
        ("native", "http://user@127.0.0.1:5000/callback", False),
        ("native", "https://127.0.0.1:5000/callback", False),
        ("native", "http://127.0.0.1:99999/callback", False),
        ("native", "http://127.0.0.1:5000/callback#x", False),
    ],
)
def test_only_the_port_of_a_loopback_address_may_differ(kind, uri, expected):
    registered = ["http://127.0.0.1/callback", "http://[::1]/callback"]

    assert is_registered(uri, registered, kind) is expected
