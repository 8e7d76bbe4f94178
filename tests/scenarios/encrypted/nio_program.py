"""matrix-nio with its encryption as a program: a command a line on stdin, and its answer a line on stdout."""

import asyncio
import contextlib
import json
import tempfile
from urllib.parse import urlsplit

import aiohttp
import nio

from tests.scenarios.same_view.programs.commands import serve

_NO_GAPS = {"room": {"timeline": {"limit": 1000}}}
_WAIT_S = 100
# A client that is lively enough for a test: it tries again by itself, for ever, but never waits for long.
_LIVELY = nio.AsyncClientConfig(backoff_factor=0.05, max_timeout_retry_wait_time=0.5)


class NotingClient(nio.AsyncClient):
    """Notes to which devices keys went over the network."""

    traffic = ()

    async def send(self, method, path, data=None, headers=None, trace_context=None, timeout=None):  # noqa: ASYNC109 - nio's own signature
        answer = await super().send(method, path, data, headers, trace_context, timeout)
        if answer.status == 200 and "/sendToDevice/m.room.encrypted/" in urlsplit(path).path:
            messages = json.loads(data)["messages"]
            self.traffic += tuple(device for devices in messages.values() for device in devices)
        return answer


async def _again(ask):
    """Ask until an answer is whole: nio tries again by itself if there is none, but not if it breaks off."""
    while True:
        with contextlib.suppress(aiohttp.ClientPayloadError):
            return await ask()
        await asyncio.sleep(0.05)


class Device:
    """One device; its store of keys is a directory that ends with it."""

    def __init__(self, session):
        self._session = session
        self._directory = tempfile.TemporaryDirectory(prefix="isthmus-nio-")
        self._client = NotingClient(
            session["base_url"], session["user"], store_path=self._directory.name, config=_LIVELY
        )
        self._client.add_event_callback(self._note, (nio.RoomMessageText, nio.MegolmEvent))
        self._messages = {}
        self._news = asyncio.Event()
        self._life = None

    async def start(self):
        answer = await self._client.login(
            self._session.get("password"), device_name="nio", token=self._session.get("token")
        )
        assert isinstance(answer, nio.LoginResponse), answer
        await self._client.sync(timeout=0, sync_filter=_NO_GAPS)
        await self._client.keys_upload()
        self._life = asyncio.create_task(self._live())
        return {"user_id": answer.user_id, "device_id": answer.device_id}

    async def act(self, action):
        if self._life.done():
            await self._life
        return await getattr(self, action.pop("verb"))(**action)

    async def _live(self):
        """What nio's own loop does, one thing after the other."""
        while True:
            answer = await _again(lambda: self._client.sync(timeout=10_000, sync_filter=_NO_GAPS))
            if not isinstance(answer, nio.SyncResponse):
                assert answer.status_code == "M_UNKNOWN_TOKEN", answer
                assert self._session.get("may_be_removed")
                return
            known = [info for room_id, info in answer.rooms.join.items() if room_id in self._messages]
            assert not any(info.timeline.limited for info in known), "a gap in the timeline of a live client"
            await self._after_sync()
            self._news.set()
            self._news = asyncio.Event()

    async def _after_sync(self):
        await self._client.send_to_device_messages()
        if self._client.should_upload_keys:
            await self._client.keys_upload()
        if self._client.should_query_keys:
            await self._client.keys_query()
        if self._client.should_claim_keys:
            await self._client.keys_claim(self._client.get_users_for_key_claiming())

    async def _until(self, what, find):
        """Wait until something holds after a sync; returns it."""
        async with asyncio.timeout(_WAIT_S):
            while not (found := find()):
                news, living = asyncio.create_task(self._news.wait()), self._life
                await asyncio.wait({news, living}, return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
                assert not living.done(), f"the device ended before {what}"
        return found

    # Rooms.

    async def _note(self, room, event):
        body = event.body if isinstance(event, nio.RoomMessageText) else None
        self._messages.setdefault(room.room_id, []).append((event, body))

    async def join(self, room_id):
        await self._until("the invitation", lambda: room_id in self._client.invited_rooms)
        answer = await self._client.join(room_id)
        assert isinstance(answer, nio.JoinResponse), answer

    async def know(self, room_id, devices):
        """Until the room is encrypted and just these devices are known, by user."""
        wanted = {user: set(names) for user, names in devices.items()}

        def as_wanted():
            room = self._client.rooms.get(room_id)
            return room and room.encrypted and set(room.users) == set(wanted) and self._known() == wanted

        await self._until("it knows the devices", as_wanted)

    def _known(self):
        known = {self._client.user_id: {self._client.device_id}}
        for device in self._client.device_store:
            if not device.deleted:
                known.setdefault(device.user_id, set()).add(device.id)
        return known

    async def send(self, room_id, body, transaction_id):
        content = {"msgtype": "m.text", "body": body}
        answer = await _again(lambda: self._client.room_send(
            room_id, "m.room.message", content, tx_id=transaction_id, ignore_unverified_devices=True
        ))  # fmt: skip
        assert isinstance(answer, nio.RoomSendResponse), answer
        return answer.event_id

    async def read(self, room_id):
        """Every message that came, in the order of the room: (event ID, text or null, session)."""
        found = self._messages.get(room_id, [])
        found[:] = [(event, self._decrypted(event) if body is None else body) for event, body in found]
        return [(event.event_id, body, event.session_id) for event, body in found]

    def _decrypted(self, event):
        try:
            return self._client.decrypt_event(event).body
        except nio.EncryptionError:
            return None

    async def can_read(self, room_id, event):
        """Whether this event of a room, as it came to someone else, can be decrypted with what is here."""
        encrypted = nio.Event.parse_encrypted_event({**event, "room_id": room_id})
        assert isinstance(encrypted, nio.MegolmEvent), encrypted
        return self._decrypted(encrypted) is not None

    async def secrets(self):
        """All that the server must not tell anybody, as far as nio shows it."""
        sessions = self._client.olm.outbound_group_sessions.values()
        given = self._session.get("token") or self._session["password"]
        return [self._client.access_token, given, *(one.session_key for one in sessions)]

    async def traffic(self):
        return self._client.traffic

    # Verification, step by step as people do it.

    def _sas(self):
        return next(iter(self._client.key_verifications.values()), None)

    async def ask_to_verify(self, user_id, device_id):
        answer = await self._client.start_key_verification(self._client.device_store[user_id][device_id])
        assert isinstance(answer, nio.ToDeviceResponse), answer

    async def agree_to_verify(self, user_id):
        sas = await self._until("the other asks", self._sas)
        assert sas.other_olm_device.user_id == user_id
        answer = await self._client.accept_key_verification(sas.transaction_id)
        assert isinstance(answer, nio.ToDeviceResponse), answer

    async def pictures(self):
        """What the screen shows."""
        await self._until("both have keys", lambda: self._sas().established_sas is not None)
        return [name for _, name in self._sas().get_emoji()]

    async def confirm(self):
        sas = self._sas()
        answer = await self._client.confirm_short_auth_string(sas.transaction_id)
        assert isinstance(answer, nio.ToDeviceResponse), answer
        await self._until("both have confirmed", lambda: sas.verified)
        device = sas.other_olm_device
        assert self._client.olm.is_device_verified(device)


if __name__ == "__main__":
    asyncio.run(serve(Device))
