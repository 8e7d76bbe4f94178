"""matrix-nio as a program: see commands.py."""

import asyncio
import contextlib
import json
from urllib.parse import quote

import aiohttp
import nio
from commands import serve
from picture import Picture

_AWAY = (aiohttp.ClientError, ConnectionError, TimeoutError)
# Few events, so that a burst is a gap.
_FILTER = {"room": {"timeline": {"limit": 6}}}


class Device:
    """One device: the picture of what nio parsed, and where nio keeps a model, the view of that."""

    def __init__(self, session):
        self._client = nio.AsyncClient(session["base_url"], session["user_id"], session["device_id"])
        self._client.access_token = session["access_token"]
        self._client.user_id = session["user_id"]
        self._picture = Picture()
        self._life = None

    async def start(self):
        await self._sync(0)
        await self.resume()

    async def resume(self):
        self._life = asyncio.create_task(self._live())

    async def stop(self):
        self._life.cancel()
        await asyncio.gather(self._life, return_exceptions=True)

    async def cut(self):
        """Lose the long poll on its way, and begin it again."""
        await self.stop()
        await self.resume()

    async def _live(self):
        while True:
            with contextlib.suppress(*_AWAY):
                await self._sync(20_000)
                continue
            await asyncio.sleep(0.05)

    async def _sync(self, timeout_ms):
        answer = await self._client.sync(timeout=timeout_ms, sync_filter=_FILTER)
        if not isinstance(answer, nio.SyncResponse):
            raise ConnectionError(str(answer))
        self._picture.take(_as_told(answer))

    async def act(self, action):
        try:
            if action["verb"] not in _NATIVE:
                return await self._request(action)
            answer = await _NATIVE[action["verb"]](self._client, action)
        except _AWAY as error:
            return {"status": None, "body": {"error": repr(error)}}
        status = answer.transport_response.status
        body = {"error": str(answer)} if isinstance(answer, nio.ErrorResponse) else {}
        for name in ("event_id", "room_id"):
            if hasattr(answer, name):
                body[name] = getattr(answer, name)
        return {"status": status, "body": body}

    async def _request(self, action):
        data = None if action.get("body") is None else json.dumps(action["body"])
        headers = {"Authorization": f"Bearer {self._client.access_token}"}
        answer = await self._client.send(action["method"], action["path"], data, headers)
        return {"status": answer.status, "body": await answer.json()}

    async def _page(self, room_id, token):
        # COMPAT: nio 0.26 loses whether history has an end, so the answer is read raw.
        path = f"/_matrix/client/v3/rooms/{quote(room_id)}/messages?dir=b&limit=50&from={quote(token)}"
        answer = await self._request({"method": "GET", "path": path})
        assert answer["status"] == 200, answer
        return answer["body"]

    async def view(self):
        view = await self._picture.view(self._page)
        for room_id, told in view["rooms"].items():
            if told["membership"] == "join":
                room = self._client.rooms[room_id]
                told["name"], told["topic"], told["typing"] = room.name, room.topic, sorted(room.typing_users)
                banned = {
                    user: text for user, text in told["members"].items() if text.startswith(("ban", "knock"))
                }
                told["members"] = banned | {
                    user_id: f"{'invite' if user.invited else 'join'} {user.display_name}"
                    for user_id, user in room.users.items()
                }
            elif told["membership"] == "invite":
                told["name"] = self._client.invited_rooms[room_id].name
        return view


def _as_told(answer):
    """An answer of `/sync` as it came, of what nio made of it."""
    rooms = {"join": {}, "leave": {}, "invite": {}}
    for section in ("join", "leave"):
        for room_id, info in getattr(answer.rooms, section).items():
            rooms[section][room_id] = {
                "state": {"events": [event.source for event in info.state]},
                "timeline": {
                    "events": [event.source for event in info.timeline.events],
                    "limited": info.timeline.limited,
                    "prev_batch": info.timeline.prev_batch,
                },
                "ephemeral": {"events": [_ephemeral(event) for event in info.ephemeral]},
                "account_data": {"events": [_account_data(event) for event in info.account_data]},
            }
    for room_id, info in answer.rooms.invite.items():
        rooms["invite"][room_id] = {"invite_state": {"events": [event.source for event in info.invite_state]}}
    presence = [
        {"sender": one.user_id, "content": {"presence": one.presence, "status_msg": one.status_msg}}
        for one in answer.presence_events
    ]
    account_data = [_account_data(event) for event in answer.account_data_events]
    return {
        "rooms": rooms,
        "presence": {"events": presence},
        "account_data": {"events": account_data},
    }


def _ephemeral(event):
    if isinstance(event, nio.TypingNoticeEvent):
        return {"type": "m.typing", "content": {"user_ids": event.users}}
    content = {}
    for one in event.receipts:
        receipt = {} if one.thread_id is None else {"thread_id": one.thread_id}
        content.setdefault(one.event_id, {}).setdefault(one.receipt_type, {})[one.user_id] = receipt
    return {"type": "m.receipt", "content": content}


def _account_data(event):
    if isinstance(event, nio.FullyReadEvent):
        return {"type": "m.fully_read", "content": {"event_id": event.event_id}}
    if isinstance(event, nio.TagEvent):
        return {"type": "m.tag", "content": {"tags": event.tags}}
    if isinstance(event, nio.UnknownAccountDataEvent):
        return {"type": event.type, "content": event.content}
    return {"type": "m.push_rules", "content": {}}


_NATIVE = {
    "send": lambda client, one: client.room_send(
        one["room_id"],
        one["type"],
        one["content"],
        tx_id=one["transaction_id"],
        ignore_unverified_devices=True,
    ),
    "state": lambda client, one: client.room_put_state(
        one["room_id"], one["type"], one["content"], state_key=one["state_key"]
    ),
    "redact": lambda client, one: client.room_redact(
        one["room_id"], one["event_id"], tx_id=one["transaction_id"]
    ),
    "join": lambda client, one: client.join(one["room_id"]),
    "leave": lambda client, one: client.room_leave(one["room_id"]),
    "invite": lambda client, one: client.room_invite(one["room_id"], one["user_id"]),
    "kick": lambda client, one: client.room_kick(one["room_id"], one["user_id"]),
    "ban": lambda client, one: client.room_ban(one["room_id"], one["user_id"]),
    "unban": lambda client, one: client.room_unban(one["room_id"], one["user_id"]),
    "typing": lambda client, one: client.room_typing(one["room_id"], one["typing"], one["timeout_ms"]),
    "read_markers": lambda client, one: client.room_read_markers(
        one["room_id"], one["fully_read"], one["read"]
    ),
}

if __name__ == "__main__":
    asyncio.run(serve(Device))
