"""A server that has nothing but accounts, asked through the real dispatcher."""

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clients.endpoints.account import AccountEndpoints
from clients.endpoints.admin_register import AdminRegisterEndpoints
from clients.endpoints.auth_fallback import AuthFallbackEndpoints
from clients.endpoints.capabilities import CapabilitiesEndpoints
from clients.endpoints.devices import DevicesEndpoints
from clients.endpoints.login import LoginEndpoints
from clients.endpoints.profile import ProfileEndpoints
from clients.endpoints.push_rules import PushRulesEndpoints
from clients.endpoints.registration import RegistrationEndpoints
from clients.endpoints.versions import VersionsEndpoints
from clients.endpoints.well_known import WellKnownEndpoints
from homeserver.accounts.access_tokens import AccessTokens
from homeserver.accounts.devices import Devices
from homeserver.accounts.guests import Guests
from homeserver.accounts.jwt_login import JwtLogins
from homeserver.accounts.login import Logins
from homeserver.accounts.passwords import Passwords
from homeserver.accounts.profile import ProfileChanges, Profiles
from homeserver.accounts.reauthentication import Reauthentication
from homeserver.accounts.registration import Registration
from homeserver.accounts.seen_sessions import SeenSessions
from homeserver.accounts.short_lived_tokens import ShortLivedTokens
from homeserver.accounts.stages import Stages
from homeserver.accounts.token_format import TokenFormat
from homeserver.accounts.uia import InteractiveAuthentication
from homeserver.config.accounts import RegistrationSection
from homeserver.http.dispatch import Dispatcher, RawRequest
from homeserver.http.endpoint import endpoints_of
from homeserver.http.router import Router
from homeserver.runtime.observation import RequestFailed
from homeserver.runtime.randomness import SystemRandomness

SERVER_NAME = "localhost"
SHARED_SECRET = "s3cret"
PASSWORD = "correct horse battery staple"


class MovableClock:
    def __init__(self):
        self.milliseconds = 1_800_000_000_000

    def now_ms(self):
        return self.milliseconds

    def monotonic_ms(self):
        return self.milliseconds

    def advance(self, milliseconds):
        self.milliseconds += milliseconds


class RememberedPropagation:
    """A `ProfilePropagation` that remembers whose profile changed."""

    def __init__(self):
        self.changed = []

    async def profile_changed(self, user_id):
        self.changed.append(user_id)


class RememberedAccountData:
    """Account data as far as registration sets any."""

    def __init__(self):
        self.contents = {}

    async def set(self, user_id, type_, content):
        self.contents[user_id, type_] = content


class AccountsServer:
    def __init__(
        self,
        database,
        *,
        mode="open",
        lifetime_ms=0,
        known_max=1_000,
        shared_secret=SHARED_SECRET,
        optional_stages=None,
        jwt_rules=None,
    ):
        self.database = database
        self.optional_stages = optional_stages or {}
        self.jwt_rules = jwt_rules
        self.account_data = RememberedAccountData()
        self.clock = MovableClock()
        self.propagation = RememberedPropagation()
        self.failures = []
        both = {"clock": self.clock, "randomness": SystemRandomness()}
        all_three = {"database": database, **both}
        self.passwords = Passwords(memory_kib=8, time_cost=1, parallelism=1, length_min=8)
        self.access_tokens = AccessTokens(
            token_format=TokenFormat(Ed25519PrivateKey.generate(), SERVER_NAME),
            lifetime_ms=lifetime_ms,
            known_max=known_max,
            **all_three,
        )
        named = {"passwords": self.passwords, "server_name": SERVER_NAME}
        self.registration = Registration(**all_three, **named)
        self.logins = Logins(access_tokens=self.access_tokens, **all_three, **named)
        self.login_tokens = ShortLivedTokens(**all_three)
        self.guests = Guests(
            registration=self.registration, logins=self.logins, access_tokens=self.access_tokens
        )
        self.interactive = InteractiveAuthentication(**all_three)
        self.announced = []
        self.devices = Devices(
            database=database, access_tokens=self.access_tokens, announce=self._announce
        )
        self.profiles = Profiles(database=database, server_name=SERVER_NAME)
        self.profile_changes = ProfileChanges(database=database, propagation=self.propagation)
        owners = self._endpoint_owners(mode, shared_secret)
        self.dispatcher = Dispatcher(
            router=Router(endpoint for owner in owners for endpoint in endpoints_of(owner)),
            authenticator=self.access_tokens,
            rate_limits=None,
            observer=self._observe,
        )

    async def _announce(self, noted):
        self.announced += noted

    def _endpoint_owners(self, mode, shared_secret):
        asked = {"logins": self.logins, "interactive": self.interactive}
        self.stages = Stages(logins=self.logins, registration=self.registration, **self.optional_stages)
        reauthentication = Reauthentication(
            database=self.database, interactive=self.interactive, stages=self.stages
        )
        return [
            AccountEndpoints(),
            AdminRegisterEndpoints(
                registration=self.registration,
                randomness=SystemRandomness(),
                shared_secret=shared_secret,
                server_name=SERVER_NAME,
                **asked,
            ),
            CapabilitiesEndpoints(
                default_room_version="12", delayed_event_ms_max=1, may_change_addresses=False
            ),
            AuthFallbackEndpoints(interactive=self.interactive, stages=self.stages),
            DevicesEndpoints(
                devices=self.devices,
                reauthentication=reauthentication,
                seen=SeenSessions(self.database, self.clock, self._observe),
            ),
            LoginEndpoints(
                logins=self.logins,
                access_tokens=self.access_tokens,
                devices=self.devices,
                login_tokens=self.login_tokens,
                jwt_logins=self._jwt_logins(),
                base_url="http://127.0.0.1:8008",
            ),
            ProfileEndpoints(profiles=self.profiles, changes=self.profile_changes),
            PushRulesEndpoints(),
            RegistrationEndpoints(
                registration=self.registration,
                stages=self.stages,
                account_data=self.account_data,
                guests=self.guests,
                policy=RegistrationSection(mode=mode),
                server_name=SERVER_NAME,
                **asked,
            ),
            VersionsEndpoints(software_version="0.1.0"),
            WellKnownEndpoints(base_url="http://127.0.0.1:8008", extra={"m.tile_server": {}}),
        ]

    def _jwt_logins(self):
        if self.jwt_rules is None:
            return None
        return JwtLogins(rules=self.jwt_rules, registration=self.registration, clock=self.clock)

    def _observe(self, observation):
        if isinstance(observation, RequestFailed):
            self.failures.append(observation.error)

    async def respond(self, method, path, body=None, *, token=None):
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        encoded = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        response = await self.dispatcher.respond(
            RawRequest(method, path.encode(), headers, encoded, "127.0.0.1")
        )
        if self.failures:
            raise self.failures.pop()
        return response

    async def call(self, method, path, body=None, *, token=None):
        """Ask; returns the status and the decoded body."""
        response = await self.respond(method, path, body, token=token)
        return response.status, orjson.loads(response.body)

    async def register(self, username, **fields):
        """Make an account; returns the body of the response."""
        body = {"username": username, "password": PASSWORD, "auth": {"type": "m.login.dummy"}, **fields}
        status, answer = await self.call("POST", "/_matrix/client/v3/register", body)
        assert status == 200, answer
        return answer

    async def login(self, user, *, password=PASSWORD, **fields):
        """Log in; returns the status and the body of the response."""
        identifier = {"type": "m.id.user", "user": user}
        body = {"type": "m.login.password", "identifier": identifier, "password": password, **fields}
        return await self.call("POST", "/_matrix/client/v3/login", body)

    async def close(self):
        await self.passwords.close()
