"""The pages of signing in by providers are asked all kinds of nonsense."""

from urllib.parse import urlencode, urlsplit

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clients.endpoints.sso_redirect import SsoRedirectEndpoints
from clients.oauth.sso import SsoEndpoints
from clients.oauth.upstream import UpstreamEndpoints

NAMES = ["continue", "session", "provider", "state", "code", "iss", "error", "redirectUrl", "action",
         "form_key", "user", "token", "accept"]  # fmt: skip
VALUES = ["", "company", "STATE", "KEY", "https://sso.example.org/realms/company", "https://app.example.com/",
          "javascript:alert(1)", "//evil.example.org", "/account", "é", "\ud800", "x" * 5_000]  # fmt: skip
values = st.sampled_from(VALUES) | st.text(max_size=9)
fields = st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=6)


def declared():
    """(method, path) of every endpoint."""
    members = [
        member
        for owner in (SsoEndpoints, SsoRedirectEndpoints, UpstreamEndpoints)
        for member in vars(owner).values()
    ]
    return sorted((method, path) for one in members for method, path, _ in getattr(one, "endpoints", ()))


def encoded(pairs, known):
    return urlencode([(name, known.get(value, value)) for name, value in pairs], errors="surrogatepass")


async def test_arbitrary_input_never_gives_a_500_and_leads_to_nobody_else(world):
    browser = world.browser()
    page = await world.sign_in(browser, "/account/sso?redirectUrl=https://app.example.com/")
    key = page.forms[0][1]["form_key"]
    endpoints = declared()
    assert len(endpoints) >= 10
    examples = []

    @settings(max_examples=400, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(endpoints), st.sampled_from(["company", "other", "%00", "%ff", "a%2Fb"]), fields,
        fields | st.binary(max_size=40),
    )  # fmt: skip
    def draw(endpoint, segment, query, body):
        examples.append((endpoint, segment, query, body))

    draw()
    cookies = dict(browser.cookies)
    for (method, path), segment, query, body in examples:
        browser.cookies = dict(cookies)
        state = urlsplit(await world.leave(browser)).query.partition("state=")[2].partition("&")[0]
        known = {"STATE": state, "KEY": key}
        sent = body if isinstance(body, bytes) else encoded(body, known).encode()
        asked = path.replace("{providerId}", segment).replace("{idpId}", segment)

        answer = await browser.ask(method, f"{asked}?{encoded(query, known)}", sent)

        assert answer.status < 500, (method, asked, query, body)
        if answer.location is not None:
            places = ("/account", "http://127.0.0.1:8008/account", "https://sso.example.org/realms/company/auth?")
            is_client = path == "/account/sso" and method == "POST" and "loginToken=isl_" in answer.location
            assert answer.location.startswith(places) or is_client, answer.location
