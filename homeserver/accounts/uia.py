"""User-interactive authentication: an operation that asks the user to pass stages before it is done.

A session is a row in the database: it survives a restart, and a stage may be passed in a browser.

Spec: https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from homeserver.core.errors import Forbidden, InvalidParam, MatrixError, ThreepidAuthFailed, Unrecognized
from homeserver.core.identifiers import is_opaque_identifier
from homeserver.runtime.clock import Clock
from homeserver.runtime.randomness import Randomness
from storage.pool import Database
from storage.tables import uia
from storage.tables.uia import UiaSessionRow

__all__ = [
    "DUMMY", "LIFETIME_MS", "AuthenticationRequired", "InteractiveAuthentication", "OpenStage", "Stage",
    "pass_dummy",
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


@dataclass(frozen=True, slots=True)
class OpenStage:
    """A stage of a session that waits to be passed, or is passed already.

    Attributes:
        user_id: who has to pass it; None: somebody who registers.
        is_passed: nothing is left to do.
        operation: what is done then.
    """

    user_id: str | None
    is_passed: bool
    operation: str


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one request asks for."""

    operation: str
    flows: Sequence[Sequence[str]]
    user_id: str | None
    parameters_hash: bytes | None

    def stages(self) -> list[str]:
        return list(dict.fromkeys(stage for flow in self.flows for stage in flow))

    def are_passed(self, completed: Mapping[str, str]) -> bool:
        return any(all(stage in completed for stage in flow) for flow in self.flows)


class InteractiveAuthentication:
    """Keeps the sessions in which users pass stages.

    Args:
        database: where they are.
        clock: ends them.
        randomness: for their IDs.
        parameters_key: hashes what an operation is to do, a password perhaps, so that what is stored tells
            nobody. None: a new one, with which sessions from before a restart begin anew if they have one.
    """

    def __init__(
        self, *, database: Database, clock: Clock, randomness: Randomness, parameters_key: bytes | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._randomness = randomness
        self._key = randomness.token_bytes(32) if parameters_key is None else parameters_key

    async def require(
        self,
        operation: str,
        flows: Sequence[Sequence[str]],
        stages: Mapping[str, Stage],
        auth: object,
        *,
        user_id: str | None = None,
        parameters: Any = None,
        params: Mapping[str, Any] | None = None,
    ) -> Mapping[str, str]:
        """Return what was remembered of each stage, once all stages of one flow are passed.

        Args:
            operation: what is to be done, with its user: a session is good for nothing else.
            flows: each a list of stage types; one of them is to be passed.
            stages: how to check each stage.
            auth: the `auth` property of the request's body, unchecked.
            user_id: whose operation it is; None: nobody's yet.
            parameters: what the operation is to do, as a JSON value. Once a stage is passed it must stay the
                same, else the session is good for nothing. None: not said (yet).
            params: what clients need to know of each stage, by its type.

        Raises:
            AuthenticationRequired: something is still missing, a stage failed with `Forbidden`, or there is
                no such stage.
            MatrixError: whatever else a stage raised.
        """
        asked = _Asked(operation, flows, user_id, self._hash_of(parameters))
        told = {stage: value for stage, value in (params or {}).items() if stage in asked.stages()}
        given = auth if isinstance(auth, Mapping) else {}
        session_id, completed = await self._session(asked, given.get("session"))
        stage = given.get("type")
        if stage is not None and not (isinstance(stage, str) and stage in completed):
            try:
                stage, check = _check_of(stage, asked, stages)
                remembered = await check(given)
            except (Forbidden, ThreepidAuthFailed, Unrecognized) as failure:
                session_id = session_id or await self._create(asked, completed)
                raise _required(asked, told, session_id, completed, failure) from failure
            if session_id is not None and not asked.are_passed({**completed, stage: remembered}):
                completed = await uia.add_completed(self._database, session_id, stage, remembered)
            completed = {**completed, stage: remembered}
        if asked.are_passed(completed):
            if session_id is None or await self._take(session_id, operation):
                return completed
            # Another request has used the session up meanwhile.
            session_id, completed = None, {}
        session_id = session_id or await self._create(asked, completed)
        raise _required(asked, told, session_id, completed, None)

    async def open_stage(self, session_id: str, stage: str) -> OpenStage | None:
        """Look at a stage that somebody wants to pass in a browser; None if there is no such session."""
        session = await self._find(session_id)
        if session is None or stage not in session.stages:
            return None
        return OpenStage(session.user_id, stage in session.completed, session.operation)

    async def pass_stage(self, session_id: str, stage: str, remembered: str) -> bool:
        """Note that a stage was passed in a browser; False if there is no such session (any more).

        Args:
            session_id: as the client was given it.
            stage: that was checked.
            remembered: what the stage's check returned.
        """
        if await self.open_stage(session_id, stage) is None:
            return False
        return bool(await uia.add_completed(self._database, session_id, stage, remembered))

    async def create_nonce(self, operation: str, nonce: str) -> None:
        """Remember a nonce that may be used once."""
        await uia.delete_older_than(self._database, self._created_after_ms())
        await uia.create_nonce(self._database, nonce, operation, self._clock.now_ms())

    async def take_nonce(self, operation: str, nonce: str, lifetime_ms: int) -> bool:
        """Use a nonce up; whether it was there and not too old."""
        if not is_opaque_identifier(nonce):
            return False
        return await uia.take(self._database, nonce, operation, self._clock.now_ms() - lifetime_ms)

    async def _find(self, session_id: object) -> UiaSessionRow | None:
        if not isinstance(session_id, str) or not is_opaque_identifier(session_id):
            return None
        return await uia.find(self._database, session_id, self._created_after_ms())

    async def _session(self, asked: _Asked, session_id: object) -> tuple[str | None, dict[str, str]]:
        # One that is unknown, too old or for something else is as good as none: the client gets a new one.
        session = await self._find(session_id)
        if session is None or session.operation != asked.operation:
            return None, {}
        wanted, known = asked.parameters_hash, session.parameters_hash
        if wanted is not None and wanted != known:
            if known is not None and session.completed:
                return None, {}
            await uia.bind(self._database, str(session_id), wanted)
        return str(session_id), session.completed

    async def _create(self, asked: _Asked, completed: dict[str, str]) -> str:
        session_id = self._randomness.token_urlsafe(18)
        await uia.delete_older_than(self._database, self._created_after_ms())
        session = UiaSessionRow(
            asked.operation, completed, asked.user_id, asked.stages(), asked.parameters_hash
        )
        await uia.create(self._database, session_id, session, self._clock.now_ms())
        return session_id

    async def _take(self, session_id: str, operation: str) -> bool:
        return await uia.take(self._database, session_id, operation, self._created_after_ms())

    def _created_after_ms(self) -> int:
        return self._clock.now_ms() - LIFETIME_MS

    def _hash_of(self, parameters: Any) -> bytes | None:
        if parameters is None:
            return None
        try:
            encoded = orjson.dumps(parameters, option=orjson.OPT_SORT_KEYS)
        except TypeError:
            raise InvalidParam("The request holds integers of more than 64 bits.") from None
        return hashlib.blake2b(encoded, key=self._key[:64], digest_size=32).digest()


def _check_of(stage: object, asked: _Asked, stages: Mapping[str, Stage]) -> tuple[str, Stage]:
    if not isinstance(stage, str) or stage not in asked.stages():
        raise Unrecognized("There is no such stage in the flows of this request.")
    return stage, stages[stage]


def _required(
    asked: _Asked,
    params: Mapping[str, Any],
    session_id: str,
    completed: Mapping[str, str],
    failure: MatrixError | None,
) -> AuthenticationRequired:
    return AuthenticationRequired(
        failure,
        flows=[{"stages": list(flow)} for flow in asked.flows],
        params=dict(params),
        session=session_id,
        completed=list(completed),
    )
