"""One OpenID Connect provider, asked as its client: where browsers go, and what their codes are worth.

Spec: OpenID Connect Core 1.0, section 3.1, and RFC 7636
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import orjson
from joserfc import jwt
from joserfc.errors import JoseError

from homeserver.accounts.ports import OutgoingRequests
from homeserver.accounts.sso.provider_documents import ProviderDocuments
from homeserver.config.sign_in import SignInProvider
from homeserver.core.errors import Unavailable
from homeserver.core.oauth.id_token import Expected, IdTokenError, check_access_token, check_claims
from homeserver.core.oauth.pkce import CHALLENGE_METHOD, challenge_of
from homeserver.core.oauth.provider_metadata import ProviderMetadata
from homeserver.core.oauth.upstream_claims import ClaimNames, Person, person_of
from homeserver.runtime.clock import Clock

__all__ = ["LEEWAY_S", "Authorization", "Provider"]

LEEWAY_S = 60
"""By how much the clocks of two servers may differ."""

_CODE_CHARACTERS_MAX = 4_000
_ID_TOKEN_CHARACTERS_MAX = 32_768
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}


@dataclass(frozen=True, slots=True)
class Authorization:
    """What one browser is sent with.

    Attributes:
        redirect_uri: where it comes back to.
        state: comes back with it.
        nonce: comes back inside the ID token.
        code_verifier: shown with the code.
        signs_in_anew: who is signed in there already has to do it again.
        begun_s: when it was sent, in seconds since 1970.
    """

    redirect_uri: str
    state: str
    nonce: str
    code_verifier: str
    signs_in_anew: bool
    begun_s: int


class Provider:
    """Speaks with one provider.

    Args:
        rules: the operator's.
        client_secret: of this server there; empty: it has none.
        outgoing: asks the provider.
        clock: tells the time.
    """

    def __init__(
        self, *, rules: SignInProvider, client_secret: str, outgoing: OutgoingRequests, clock: Clock
    ) -> None:
        self.rules = rules
        self.name = rules.name or rules.id
        self._secret = client_secret
        self._outgoing = outgoing
        self._clock = clock
        self._claims = ClaimNames(rules.localpart_claim, rules.display_name_claim, rules.email_claim)
        self._documents = ProviderDocuments(
            outgoing=outgoing, clock=clock, issuer=rules.issuer, known=_known(rules), name=self.name
        )

    async def metadata(self) -> ProviderMetadata:
        """Where the provider's endpoints are.

        Raises:
            MetadataError: what it says of itself cannot be used.
            Unavailable: it does not answer.
        """
        return await self._documents.metadata()

    async def authorization_uri(self, asked: Authorization) -> str:
        """Where to send a browser.

        Raises:
            MetadataError: what the provider says of itself cannot be used.
            Unavailable: it does not answer.
        """
        endpoint = (await self._documents.metadata()).authorization_endpoint
        parameters = {
            "response_type": "code",
            "client_id": self.rules.client_id,
            "redirect_uri": asked.redirect_uri,
            "scope": " ".join(self.rules.scopes),
            "state": asked.state,
            "nonce": asked.nonce,
            "code_challenge": challenge_of(asked.code_verifier),
            "code_challenge_method": CHALLENGE_METHOD,
        }
        if asked.signs_in_anew:
            parameters["prompt"] = "login"
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters, quote_via=quote)}"

    async def person_with(self, code: str, asked: Authorization, *, wants_all: bool = True) -> Person:
        """Exchange a code, and tell who has signed in.

        Args:
            code: that the browser has brought.
            asked: what it was sent with.
            wants_all: ask also what the ID token does not tell.

        Raises:
            IdTokenError: the provider's answer does not show who it is.
            MetadataError: what the provider publishes cannot be used.
            Unavailable: it does not answer.
        """
        if not code or len(code) > _CODE_CHARACTERS_MAX:
            raise IdTokenError("there is no code")
        answer = await self._exchange(code, asked)
        access_token = str(answer.get("access_token", ""))
        claims, algorithm = await self._verified(answer.get("id_token"))
        expected = Expected(
            issuer=self.rules.issuer, client_id=self.rules.client_id, nonce=asked.nonce,
            now_s=self._clock.now_ms() // 1_000, leeway_s=LEEWAY_S,
            begun_s=asked.begun_s if asked.signs_in_anew else None,
        )  # fmt: skip
        subject = check_claims(claims, expected)
        check_access_token(claims, algorithm, access_token)
        endpoint = (await self._documents.metadata()).userinfo_endpoint
        if wants_all and endpoint and access_token and self._claims.lacking(claims):
            claims = {**await self._userinfo(endpoint, access_token, subject), **claims}
        return person_of(subject, claims, self._claims)

    async def _exchange(self, code: str, asked: Authorization) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": asked.redirect_uri,
            "code_verifier": asked.code_verifier,
        }
        headers = dict(_FORM)
        if self._secret and self.rules.client_authentication == "basic":
            pair = f"{quote_plus(self.rules.client_id)}:{quote_plus(self._secret)}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            form["client_id"] = self.rules.client_id
            if self._secret:
                form["client_secret"] = self._secret
        endpoint = (await self._documents.metadata()).token_endpoint
        status, body = await self._outgoing.post(endpoint, urlencode(form).encode(), headers)
        if status >= 500:
            raise Unavailable(f"{self.name} is out of order; try again later.")
        answer = _object(body, "the answer to the code")
        if status != 200:
            # What an RFC names is safe to log; anything else might be anything.
            error = answer.get("error")
            is_word = isinstance(error, str) and error.replace("_", "").isalpha() and len(error) < 50
            raise IdTokenError(f"the code was refused ({error if is_word else status})")
        if str(answer.get("token_type", "")).lower() != "bearer":
            raise IdTokenError("token_type is not Bearer")
        return answer

    async def _verified(self, token: object) -> tuple[Mapping[str, Any], str]:
        """The claims of a token whose signature is the provider's, and the signature's algorithm."""
        if not isinstance(token, str) or len(token) > _ID_TOKEN_CHARACTERS_MAX:
            raise IdTokenError("there is no ID token")
        algorithm, key_id = _header_of(token)
        if algorithm not in self.rules.algorithms:
            raise IdTokenError("alg is not one that is accepted")
        key = await self._documents.key(key_id, algorithm)
        if key is None:
            raise IdTokenError("the provider has no key as the token names it")
        try:
            return jwt.decode(token, key, algorithms=[algorithm]).claims, algorithm
        except (JoseError, ValueError, TypeError, AttributeError) as error:
            raise IdTokenError(f"the signature is not good ({type(error).__name__})") from None

    async def _userinfo(self, endpoint: str, access_token: str, subject: str) -> Mapping[str, Any]:
        headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/json"}
        status, body = await self._outgoing.get(endpoint, headers)
        if status != 200:
            raise Unavailable(f"{self.name} does not tell who you are; try again later.")
        answer = _object(body, "userinfo")
        if answer.get("sub") != subject:
            raise IdTokenError("userinfo is that of somebody else")
        # Only the ID token says when and for whom it was made.
        return answer


def _known(rules: SignInProvider) -> ProviderMetadata | None:
    if rules.discovery:
        return None
    return ProviderMetadata(
        rules.authorization_endpoint, rules.token_endpoint, rules.jwks_uri, rules.userinfo_endpoint
    )


def _object(body: bytes, what: str) -> Mapping[str, Any]:
    try:
        decoded = orjson.loads(body)
    except ValueError:
        decoded = None
    if not isinstance(decoded, dict):
        raise IdTokenError(f"{what} is no JSON object")
    return decoded


def _header_of(token: str) -> tuple[str, str | None]:
    """The algorithm and the key that a token names; that it names them proves nothing yet."""
    encoded, *rest = token.split(".")
    try:
        header = orjson.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except ValueError:
        header = None
    if len(rest) != 2 or not isinstance(header, dict):
        raise IdTokenError("the ID token is no signed JWT")
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or not isinstance(key_id, str | None):
        raise IdTokenError("alg and kid must be texts")
    return algorithm, key_id
