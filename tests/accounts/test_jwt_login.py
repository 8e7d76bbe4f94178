import base64
import hmac
from dataclasses import replace

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from homeserver.accounts.jwt_login import JwtLogins, JwtRules
from homeserver.core.errors import Forbidden
from tests.doubles.accounts import AccountsServer

SECRET = "a secret of more than thirty-two bytes"
RULES = JwtRules(
    SECRET, "HS256", issuer="https://sso.example.org", audiences=("isthmus",), subject_claim="sub",
    display_name_claim="name", creates_accounts=True, leeway_ms=60_000,
)  # fmt: skip


@pytest.fixture
async def server(database):
    server = AccountsServer(database)
    yield server
    await server.close()


def logins(server, **changes):
    rules = replace(RULES, **changes)
    return JwtLogins(rules=rules, registration=server.registration, clock=server.clock)


def token(server, key=None, algorithm="HS256", **claims):
    now_s = server.clock.now_ms() // 1000
    given = {
        "sub": "alice", "iss": RULES.issuer, "aud": ["isthmus", "other"], "exp": now_s + 300, "nbf": now_s,
        **claims,
    }  # fmt: skip
    named = {name: value for name, value in given.items() if value is not None}
    return jwt.encode({"alg": algorithm}, named, key or OctKey.import_key(SECRET), algorithms=[algorithm])


async def test_the_first_login_makes_the_account_and_the_next_finds_it(server):
    first = await logins(server).user_with(token(server, name="Alice L."))
    again = await logins(server).user_with(token(server, sub="ALICE"))

    assert first == again == "@alice:localhost"
    assert await server.profiles.profile_of(first) == {"displayname": "Alice L."}


async def test_accounts_are_made_only_where_that_is_wanted(server):
    with pytest.raises(Forbidden):
        await logins(server, creates_accounts=False).user_with(token(server))
    await server.register("alice")

    assert await logins(server, creates_accounts=False).user_with(token(server)) == "@alice:localhost"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1}, {"nbf": 4_000_000_000}, {"iss": "https://evil.example.org"}, {"iss": None},
        {"aud": "other"}, {"aud": None}, {"sub": None}, {"sub": 7}, {"sub": "white space"}, {"sub": ""},
        {"sub": "_bridge"}, {"sub": "nul\0"}, {"exp": "soon"},
    ],
)  # fmt: skip
async def test_a_token_that_is_not_good_is_refused(server, claims):
    with pytest.raises(Forbidden):
        await logins(server).user_with(token(server, **claims))


async def test_a_token_ends_with_its_time_and_some_leeway(server):
    given = token(server)
    server.clock.advance(350_000)
    await logins(server).user_with(given)
    server.clock.advance(60_000)

    with pytest.raises(Forbidden):
        await logins(server).user_with(given)


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "é" * 20, "\ud800.a.b", "a" * 9_000])
async def test_nonsense_is_refused(server, text):
    with pytest.raises(Forbidden):
        await logins(server).user_with(text)


async def test_a_token_chooses_neither_its_key_nor_its_algorithm(server):
    other = OctKey.import_key("another secret of more than 32 bytes!")
    header, payload, _ = token(server).split(".")
    unsigned = f"eyJhbGciOiJub25lIn0.{payload}."
    rsa = RSAKey.generate_key(2048)
    public = rsa.as_pem(private=False).decode()
    # The public key of a service, taken for a shared secret.
    mac = hmac.digest(public.encode(), f"{header}.{payload}".encode(), "sha256")
    confused = f"{header}.{payload}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"

    for wrong in (token(server, key=other), token(server, algorithm="HS512"), unsigned):
        with pytest.raises(Forbidden):
            await logins(server).user_with(wrong)
    with pytest.raises(Forbidden):
        await logins(server, secret_or_key=public, algorithm="RS256").user_with(confused)
    good = token(server, key=rsa, algorithm="RS256")
    with_rsa = logins(server, secret_or_key=public, algorithm="RS256")
    assert await with_rsa.user_with(good) == "@alice:localhost"


def test_a_key_that_is_none_is_told_at_the_start(server):
    with pytest.raises(ValueError, match="secret_or_key"):
        logins(server, secret_or_key="nonsense", algorithm="RS256")


async def test_the_endpoint_takes_such_a_token(database):
    server = AccountsServer(database, jwt_rules=RULES)
    _, flows = await server.call("GET", "/_matrix/client/v3/login")
    body = {"type": "org.matrix.login.jwt", "token": token(server)}
    status, answer = await server.call("POST", "/_matrix/client/v3/login", body)
    missing, _ = await server.call("POST", "/_matrix/client/v3/login", {"type": body["type"]})
    await server.close()

    assert {"type": "org.matrix.login.jwt"} in flows["flows"]
    assert (status, answer["user_id"]) == (200, "@alice:localhost")
    assert missing == 400
