"""A FederationClient that asks nobody: it records what it is asked to ask, and answers by a script."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from homeserver.core.errors import Unavailable


@dataclass(frozen=True)
class Asked:
    destination: str
    method: str
    path: str
    query: dict[str, Any] = field(default_factory=dict)
    content: dict[str, Any] | None = None
    timeout_ms: int = 30_000
    body_bytes_max: int = 10_485_760
    is_authenticated: bool = True


class ScriptedFederationClient:
    """Answers by destination and path.

    `answer("remote.example", "/_matrix/federation/v1/event/%24a", {...})` says what that server answers there
    from then on; with `once=True` it is said a single time, after which the ones given later (or the lasting
    one) come. An answer may be an exception, which is raised, or a function of what was asked. `path` may be
    the start of a path if it ends in `*`, and `destination` may be `*`. What nobody scripted is Unavailable.
    """

    def __init__(self):
        self.asked: list[Asked] = []
        self._once: list[tuple[str, str, Any]] = []
        self._always: list[tuple[str, str, Any]] = []

    def answer(self, destination: str, path: str, answer: Any | Callable[[Asked], Any], *, once=False):
        (self._once if once else self._always).append((destination, path, answer))

    async def request(self, destination, method, path, **options):
        asked = Asked(destination, method, path, **options)
        self.asked.append(asked)
        answer = self._answer_to(asked)
        if callable(answer):
            answer = answer(asked)
        if hasattr(answer, "__await__"):
            answer = await answer
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _answer_to(self, asked):
        for entry in self._once:
            if _fits(entry, asked):
                self._once.remove(entry)
                return entry[2]
        # What was said last counts.
        for entry in reversed(self._always):
            if _fits(entry, asked):
                return entry[2]
        return Unavailable(f"{asked.destination} does not answer {asked.path}")


def _fits(entry, asked):
    destination, path, _ = entry
    if destination not in {"*", asked.destination}:
        return False
    return asked.path.startswith(path[:-1]) if path.endswith("*") else asked.path == path
