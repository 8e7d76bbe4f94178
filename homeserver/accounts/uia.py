"""User-interactive authentication: an operation that asks the user to pass stages before it is done.

Spec: https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson

from homeserver.core.errors import Forbidden, MatrixError, Unrecognized
from homeserver.core.identifiers import is_opaque_identifier
from homeserver.runtime.clock import Clock
from homeserver.runtime.randomness import Randomness
from storage.pool import Database
from storage.tables import uia

__all__ = [
    "DUMMY", "LIFETIME_MS", "AuthenticationRequired", "InteractiveAuthentication", "Stage", "pass_dummy",
]  # fmt: skip

DUMMY = "m.login.dummy"
LIFETIME_MS = 15 * 60 * 1000
"""How long a session may take; the specification leaves it to the server."""

Stage = Callable[[Mapping[str, Any]], Awaitable[str]]
"""Checks the `auth` object of one stage; returns what to remember of it, or raises `Forbidden`."""


async def pass_dummy(auth: Mapping[str, Any]) -> str:
    """Pass `m.login.dummy`, which asks for nothing."""
    del auth
    return ""


def _check_of(stage: object, flows: Sequence[Sequence[str]], stages: Mapping[str, Stage]) -> Stage:
    if not isinstance(stage, str) or not any(stage in flow for flow in flows):
        raise Unrecognized("There is no such stage in the flows of this request.")
    return stages[stage]


class AuthenticationRequired(MatrixError):
    """The user must pass (further) stages; told as 401 with the flows, and an errcode only if one failed."""

    status = 401

    def __init__(self, failure: MatrixError | None, **fields: Any) -> None:
        super().__init__("" if failure is None else failure.error, **fields)
        self._failure = failure

    def body(self) -> dict[str, Any]:
        """The JSON object that the client is told."""
        if self._failure is None:
            return dict(self.fields)
        return {**self._failure.body(), **self.fields}


class InteractiveAuthentication:
    """Keeps the sessions in which users pass stages."""

    def __init__(self, *, database: Database, clock: Clock, randomness: Randomness) -> None:
        self._database = database
        self._clock = clock
        self._randomness = randomness

    async def require(
        self, operation: str, flows: Sequence[Sequence[str]], stages: Mapping[str, Stage], auth: object
    ) -> Mapping[str, str]:
        """Return what was remembered of each stage, once all stages of one flow are passed.

        Args:
            operation: what is to be done, with its user and object: a session is good for nothing else.
            flows: each a list of stage types; one of them is to be passed.
            stages: how to check each stage.
            auth: the `auth` property of the request's body, unchecked.

        Raises:
            AuthenticationRequired: something is still missing, a stage failed with `Forbidden`, or there is
                no such stage.
            MatrixError: whatever else a stage raised.
        """
        given = auth if isinstance(auth, Mapping) else {}
        session_id, completed = await self._session(operation, given.get("session"))
        stage = given.get("type")
        if stage is not None:
            try:
                check = _check_of(stage, flows, stages)
                completed = {**completed, str(stage): await check(given)}
            except (Forbidden, Unrecognized) as failure:
                session_id = session_id or await self._create(operation, completed)
                raise self._required(flows, session_id, completed, failure) from failure
        if any(all(step in completed for step in flow) for flow in flows):
            if session_id is not None:
                await uia.take(self._database, session_id, operation, self._created_after_ms())
            return completed
        if session_id is None:
            session_id = await self._create(operation, completed)
        elif stage is not None:
            await uia.set_completed(self._database, session_id, orjson.dumps(completed))
        raise self._required(flows, session_id, completed, None)

    async def create_nonce(self, operation: str, nonce: str) -> None:
        """Remember a nonce that may be used once."""
        await uia.delete_older_than(self._database, self._created_after_ms())
        await uia.create(self._database, nonce, operation, b"{}", self._clock.now_ms())

    async def take_nonce(self, operation: str, nonce: str, lifetime_ms: int) -> bool:
        """Use a nonce up; whether it was there and not too old."""
        if not is_opaque_identifier(nonce):
            return False
        return await uia.take(self._database, nonce, operation, self._clock.now_ms() - lifetime_ms)

    async def _session(self, operation: str, session_id: object) -> tuple[str | None, dict[str, str]]:
        # One that is unknown, too old or for something else is as good as none: the client gets a new one.
        if not isinstance(session_id, str) or not is_opaque_identifier(session_id):
            return None, {}
        completed = await uia.find(self._database, session_id, operation, self._created_after_ms())
        return (None, {}) if completed is None else (session_id, orjson.loads(completed))

    async def _create(self, operation: str, completed: Mapping[str, str]) -> str:
        session_id = self._randomness.token_urlsafe(18)
        await uia.delete_older_than(self._database, self._created_after_ms())
        now_ms = self._clock.now_ms()
        await uia.create(self._database, session_id, operation, orjson.dumps(completed), now_ms)
        return session_id

    def _created_after_ms(self) -> int:
        return self._clock.now_ms() - LIFETIME_MS

    @staticmethod
    def _required(
        flows: Sequence[Sequence[str]],
        session_id: str,
        completed: Mapping[str, str],
        failure: MatrixError | None,
    ) -> AuthenticationRequired:
        return AuthenticationRequired(
            failure,
            flows=[{"stages": list(flow)} for flow in flows],
            params={},
            session=session_id,
            completed=list(completed),
        )
