"""The keys of users of other servers: who is asked, for how long, and what of their answers is believed."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from homeserver.core.errors import InvalidParam, MatrixError
from homeserver.core.identifiers import parse_user_id
from homeserver.e2ee.key_ports import RemoteKeys

__all__ = ["RemoteAnswers", "parted_by_server"]

SERVERS_AT_ONCE_MAX = 50
_TOLD_BY_SERVERS = ("device_keys", "master_keys", "self_signing_keys")

Asked = TypeVar("Asked")
Answer = Mapping[str, Mapping[str, Any]]


def parted_by_server(asked: Mapping[str, Asked], own_name: str) -> dict[str, dict[str, Asked]]:
    """Part what is asked by the servers of the users.

    Args:
        asked: by user ID.
        own_name: of this server, whose name may be written with capitals.

    Raises:
        InvalidParam: one is no user ID.
    """
    parted: dict[str, dict[str, Asked]] = {}
    for user_id, what in asked.items():
        try:
            server_name = parse_user_id(user_id).server_name
        except ValueError as error:
            raise InvalidParam(f"{error} This is none: {user_id[:80]!r}.") from None
        if server_name != own_name and server_name.lower() == own_name.lower():
            server_name = own_name
        parted.setdefault(server_name, {})[user_id] = what
    return parted


class RemoteAnswers:
    """Asks several servers side by side, each for as long as the client waits.

    Args:
        remote: asks one of them.
        servers_at_once_max: how many are asked at a time.
    """

    def __init__(self, remote: RemoteKeys, *, servers_at_once_max: int = SERVERS_AT_ONCE_MAX) -> None:
        self._remote = remote
        self._turns = asyncio.Semaphore(servers_at_once_max)

    async def query(
        self,
        parted: Mapping[str, Mapping[str, list[str]]],
        told: Mapping[str, dict[str, Any]],
        timeout_ms: int,
    ) -> dict[str, Any]:
        """Add keys of users of other servers to what is told; returns the servers that failed, and how."""
        asked = {
            name: self._remote.query(name, {user_id: list(ids) for user_id, ids in users.items()})
            for name, users in parted.items()
        }
        answers, failures = await self._gathered(asked, timeout_ms)
        for server_name, answer in answers.items():
            for section in _TOLD_BY_SERVERS:
                _take(told[section], answer.get(section), parted[server_name])
        return failures

    async def claim(
        self, parted: Mapping[str, Mapping[str, Mapping[str, str]]], told: dict[str, Any], timeout_ms: int
    ) -> dict[str, Any]:
        """Add keys that other servers hand out to what is told; returns the servers that failed, and how."""
        asked = {name: self._remote.claim(name, users) for name, users in parted.items()}
        answers, failures = await self._gathered(asked, timeout_ms)
        for server_name, answer in answers.items():
            _take(told, answer, parted[server_name])
        return failures

    async def _gathered(
        self, asked: Mapping[str, Coroutine[Any, Any, Answer]], timeout_ms: int
    ) -> tuple[dict[str, Answer], dict[str, Any]]:
        results = await asyncio.gather(*[self._answer(one, timeout_ms) for one in asked.values()])
        answers: dict[str, Answer] = {}
        failures: dict[str, Any] = {}
        for server_name, result in zip(asked, results, strict=True):
            if isinstance(result, MatrixError):
                failures[server_name] = result.body()
            elif result is None:
                failures[server_name] = {"errcode": "M_UNKNOWN", "error": "The server took too long."}
            else:
                answers[server_name] = result
        return answers, failures

    async def _answer(
        self, asking: Coroutine[Any, Any, Answer], timeout_ms: int
    ) -> Answer | MatrixError | None:
        try:
            async with asyncio.timeout(timeout_ms / 1000), self._turns:
                return await asking
        except TimeoutError:
            return None
        except MatrixError as error:
            return error
        finally:
            asking.close()  # where it never had its turn


def _take(told: dict[str, Any], answer: object, users: Mapping[str, object]) -> None:
    """Believe a server what it says of the users that it was asked for, and of nobody else."""
    if isinstance(answer, Mapping):
        told.update({user_id: keys for user_id, keys in answer.items() if user_id in users})
