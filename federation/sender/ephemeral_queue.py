"""What is worth nothing to another server later: who types, how far somebody has read, who is here.

Only the latest word of each is kept, and of so many; what a server misses while it does not answer is lost.

Spec: https://spec.matrix.org/v1.19/server-server-api/#typing-notifications
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from homeserver.core.canonical_json import encode_lenient
from homeserver.core.changes import PresenceChange, ReceiptChange

__all__ = ["EphemeralQueue", "edu"]

KEPT_MAX = 1_000
"""Of each kind; the oldest give way."""
TYPING_MS_MAX = 20_000
"""That somebody types is not told later than that."""
RECEIPTS_PER_EDU_MAX = 100
USERS_PER_EDU_MAX = 100
READ = "m.read"


def edu(edu_type: str, content: dict[str, Any]) -> bytes:
    """Encode an EDU as canonical JSON.

    Raises:
        ValueError: the content has no JSON.
    """
    return b'{"content":%b,"edu_type":"%b"}' % (encode_lenient(content), edu_type.encode("ascii"))


class EphemeralQueue:
    """What waits for one server."""

    __slots__ = ("_presence", "_receipts", "_typing")

    def __init__(self) -> None:
        self._typing: dict[tuple[str, str], tuple[bool, int]] = {}
        # By room, user and thread: threads are told in EDUs of their own, as one has one receipt of a user.
        self._receipts: dict[tuple[str, str, str | None], tuple[str, int]] = {}
        self._presence: dict[str, PresenceChange] = {}

    def __len__(self) -> int:
        """How much waits."""
        return len(self._typing) + len(self._receipts) + len(self._presence)

    def add_typing(self, room_id: str, user_id: str, *, is_typing: bool, now_ms: int) -> None:
        """Take note that somebody types, or does so no more."""
        _put(self._typing, (room_id, user_id), (is_typing, now_ms))

    def add_receipt(self, change: ReceiptChange) -> None:
        """Take note that somebody has read further."""
        key = (change.room_id, change.user_id, change.thread_id)
        _put(self._receipts, key, (change.event_id, change.ts_ms))

    def add_presence(self, change: PresenceChange) -> None:
        """Take note that somebody came or went."""
        _put(self._presence, change.user_id, change)

    def clear(self) -> None:
        """Forget all: the server does not answer."""
        self._typing.clear()
        self._receipts.clear()
        self._presence.clear()

    def take(self, limit: int, now_ms: int) -> list[bytes]:
        """Take out at most so many EDUs."""
        edus = list(islice(self._take_presence(now_ms), min(1, limit)))
        edus += islice(self._take_receipts(), limit - len(edus))
        edus += islice(self._take_typing(now_ms), limit - len(edus))
        return edus

    def _take_typing(self, now_ms: int) -> Iterator[bytes]:
        while self._typing:
            (room_id, user_id), (is_typing, since_ms) = _pop_first(self._typing)
            if not is_typing or now_ms - since_ms <= TYPING_MS_MAX:
                yield edu("m.typing", {"room_id": room_id, "typing": is_typing, "user_id": user_id})

    def _take_receipts(self) -> Iterator[bytes]:
        while self._receipts:
            content: dict[str, Any] = {}
            for key in list(islice(self._receipts, RECEIPTS_PER_EDU_MAX)):
                room_id, user_id, thread_id = key
                users = content.setdefault(room_id, {READ: {}})[READ]
                if user_id in users:
                    continue  # of another thread: it comes in another EDU
                event_id, ts_ms = self._receipts.pop(key)
                # The spec calls it event_ids, and has one receipt of a user in each EDU.
                told: dict[str, Any] = {"ts": ts_ms}
                if thread_id is not None:
                    told["thread_id"] = thread_id
                users[user_id] = {"data": told, "event_ids": [event_id]}
            yield edu("m.receipt", content)

    def _take_presence(self, now_ms: int) -> Iterator[bytes]:
        while self._presence:
            push = [
                _presence_of(_pop_first(self._presence)[1], now_ms)
                for _ in range(min(USERS_PER_EDU_MAX, len(self._presence)))
            ]
            yield edu("m.presence", {"push": push})


def _presence_of(change: PresenceChange, now_ms: int) -> dict[str, Any]:
    # Where nobody knows when they were last active, that was in 1970.
    last_active_ago_ms = max(0, now_ms - change.last_active_ms)
    told: dict[str, Any] = {
        "last_active_ago": last_active_ago_ms, "presence": change.presence, "user_id": change.user_id,
    }  # fmt: skip
    if change.currently_active:
        told["currently_active"] = True
    if change.status_msg is not None:
        told["status_msg"] = change.status_msg
    return told


def _put(kept: dict[Any, Any], key: Any, value: Any) -> None:
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > KEPT_MAX:
        del kept[next(iter(kept))]


def _pop_first(kept: dict[Any, Any]) -> Any:
    key = next(iter(kept))
    return key, kept.pop(key)
