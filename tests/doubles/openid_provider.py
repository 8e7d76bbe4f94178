"""A small OpenID Connect provider: it answers what it is asked by HTTP, or as an `OutgoingRequests`.

It is as strict as a real one about codes, PKCE, redirect URIs and the client's secret; and it can lie.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from homeserver.core.errors import Unavailable

ISSUER = "https://sso.example.org/realms/company"
CLIENT_ID, CLIENT_SECRET = "isthmus", "s3cret: of the client"
PERSON = {
    "sub": "f3a1-0001",
    "preferred_username": "erika",
    "name": "Erika Mustermann",
    "email": "Erika@example.org",
    "email_verified": True,
}
# Made once: a key takes a while.
_KEYS = [RSAKey.generate_key(2048, {"kid": f"rsa{number}", "use": "sig"}) for number in range(2)]
_OTHER = RSAKey.generate_key(2048, {"kid": "rsa0"})


def _half_hash(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:16]).decode().rstrip("=")


def _part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


class OpenIdProvider:
    """Attributes to change: `person` (who signs in), `lies` (claims that replace the true ones)."""

    def __init__(self, issuer=ISSUER, *, now_s=lambda: int(time.time())):
        self.issuer = issuer
        self.now_s = now_s
        self.person = dict(PERSON)
        self.lies = {}
        self.metadata_lies = {}
        self.keys = [_KEYS[0]]
        self.algorithm = "RS256"
        self.forgery = None
        self.in_userinfo = set()  # claims that are told only there
        self.userinfo_subject = None
        self.is_down = False
        self.token_answer = None
        self.codes = {}
        self.access_tokens = {}
        self.asked = []
        self.authorizations = []

    def rotate(self):
        """Sign with another key from now on, and withdraw the old one."""
        self.keys = [_KEYS[1]]

    def authorize(self, url):
        """Sign `person` in without a question; returns where the browser is sent back to."""
        parts = urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == self.issuer + "/auth"
        asked = {name: values[0] for name, values in parse_qs(parts.query, strict_parsing=True).items()}
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT_ID
        assert "openid" in asked["scope"].split()
        assert asked["code_challenge_method"] == "S256"
        assert len(asked["state"]) > 20
        assert len(asked["nonce"]) > 20
        self.authorizations.append(asked)
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        answer = {"code": code, "state": asked["state"], "iss": self.issuer}
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    def refuse(self, url, error, **fields):
        """Send the browser back with an error."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        return f"{asked['redirect_uri']}?{urlencode({'error': error, 'state': asked['state'], **fields})}"

    async def get(self, url, headers):
        return self._answer("GET", url, b"", headers)

    async def post(self, url, body, headers):
        return self._answer("POST", url, body, headers)

    def _answer(self, method, url, body, headers):
        if self.is_down:
            raise Unavailable("There is no answer.")
        assert url.startswith(self.issuer + "/"), url
        path = url.removeprefix(self.issuer)
        self.asked.append((method, path))
        answers = {
            ("GET", "/.well-known/openid-configuration"): self._metadata,
            ("GET", "/certs"): self._certs,
            ("POST", "/token"): self._token,
            ("GET", "/userinfo"): self._userinfo,
        }
        status, answer = answers[method, path](body, headers)
        return status, json.dumps(answer).encode()

    def _metadata(self, _body, _headers):
        return 200, {
            "issuer": self.issuer,
            "authorization_endpoint": self.issuer + "/auth",
            "token_endpoint": self.issuer + "/token",
            "jwks_uri": self.issuer + "/certs",
            "userinfo_endpoint": self.issuer + "/userinfo",
            "authorization_response_iss_parameter_supported": True,
            **self.metadata_lies,
        }

    def _certs(self, _body, _headers):
        # Real ones have keys of other kinds too.
        others = [{"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}, {"kty": "AKP", "kid": "new"}, 7]
        return 200, {"keys": [*others, *(key.as_dict(private=False) for key in self.keys)]}

    def _token(self, body, headers):
        if self.token_answer is not None:
            return self.token_answer
        form = {name: values[0] for name, values in parse_qs(body.decode(), strict_parsing=True).items()}
        if not self._knows_client(form, headers):
            return 401, {"error": "invalid_client"}
        asked = self.codes.pop(form["code"], None)
        if asked is None or form["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        access_token = secrets.token_urlsafe(16)
        self.access_tokens[access_token] = dict(self.person)
        told = {name: value for name, value in self.person.items() if name not in self.in_userinfo}
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": self.now_s(),
            "exp": self.now_s() + 300,
            "nonce": asked["nonce"],
            "at_hash": _half_hash(access_token),
            **told,
            **self.lies,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        return 200, {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": self._signed(claims),
        }

    def _knows_client(self, form, headers):
        authorization = headers.get("Authorization", headers.get("authorization", ""))
        if authorization.startswith("Basic "):
            pair = base64.b64decode(authorization.removeprefix("Basic ")).decode()
            client_id, _, secret = pair.partition(":")
            return (unquote_plus(client_id), unquote_plus(secret)) == (CLIENT_ID, CLIENT_SECRET)
        return (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)

    def _userinfo(self, _body, headers):
        token = headers.get("Authorization", headers.get("authorization", "")).removeprefix("Bearer ")
        person = self.access_tokens.get(token)
        if person is None:
            return 401, {"error": "invalid_token"}
        return 200, {**person, **({"sub": self.userinfo_subject} if self.userinfo_subject else {})}

    def _signed(self, claims):
        key = self.keys[0]
        header = {"alg": self.algorithm, "kid": key.kid}
        if self.forgery == "none":
            return f"{_part({'alg': 'none'})}.{_part(claims)}."
        if self.forgery == "public key as secret":
            signed = f"{_part({'alg': 'HS256', 'kid': key.kid})}.{_part(claims)}"
            signature = hmac.digest(key.as_pem(private=False), signed.encode(), "sha256")
            return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
        if self.forgery == "other key":
            return jwt.encode(header, claims, _OTHER, algorithms=[self.algorithm])
        if self.forgery == "own key in the header":
            header["jwk"] = _OTHER.as_dict(private=False)
            return jwt.encode(header, claims, _OTHER, algorithms=[self.algorithm])
        signed = jwt.encode(header, claims, key, algorithms=[self.algorithm])
        if self.forgery == "changed claims":
            head, _, signature = signed.split(".")
            return f"{head}.{_part({**claims, 'sub': 'somebody else'})}.{signature}"
        return signed


def elliptic_key():
    return ECKey.generate_key("P-256", {"kid": "ec0"})


class HttpProvider:
    """The same, on a port of this machine."""

    def __init__(self):
        self.provider = None
        self._server = None

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.provider = OpenIdProvider(f"http://127.0.0.1:{port}/realms/company")
        return self.provider

    async def __aexit__(self, *_):
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        request, *lines = head.split("\r\n")
        method, path, _ = request.split(" ")
        headers = dict(line.split(": ", 1) for line in lines if line)
        headers = {name.title(): value for name, value in headers.items()}
        body = await reader.readexactly(int(headers.get("Content-Length", 0)))
        status, answer, more = self._respond(method, path, body, headers)
        head = f"HTTP/1.1 {status} OK\r\n{more}Content-Length: {len(answer)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + answer)
        await writer.drain()
        writer.close()

    def _respond(self, method, path, body, headers):
        site = self.provider.issuer.removesuffix("/realms/company")
        if method == "GET" and path.startswith("/realms/company/auth?"):
            return 303, b"", f"Location: {self.provider.authorize(site + path)}\r\n"
        if not path.startswith("/realms/company/"):
            return 404, b"", ""  # a browser wants an icon
        if self.provider.is_down:
            return 503, b"", ""
        status, answer = self.provider._answer(method, site + path, body, headers)
        return status, answer, "Content-Type: application/json\r\n"
