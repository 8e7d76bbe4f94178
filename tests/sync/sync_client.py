"""A client that applies what /sync tells, as the specification says, and nothing else."""

import orjson


def keep(account_data, part):
    """Apply the account data of a part. Nothing in it counts as nothing there, as deletion is told so."""
    events = part.get("account_data", {"events": []})["events"]
    assert events or "account_data" not in part
    types = [event["type"] for event in events]
    assert len(types) == len(set(types)), "told twice"
    for event in events:
        assert event.keys() == {"type", "content"}
        if event["content"]:
            account_data[event["type"]] = event["content"]
        else:
            account_data.pop(event["type"], None)


class ClientRoom:
    """A joined room as the client knows it."""

    def __init__(self):
        self.state = {}
        self.account_data = {}
        self.receipts = {}  # (type, user ID) → event ID
        self.is_whole = False
        self.timeline = []
        self.senders = set()
        self.gaps = 0

    def apply(self, part):
        keep(self.account_data, part)
        self.read(part.get("ephemeral", {"events": []})["events"])
        if "timeline" not in part:
            assert not part.keys() & {"state", "state_after"}
            return
        # Who asks for the state after the timeline works none out from the timeline.
        is_after = "state_after" in part
        assert not (is_after and "state" in part)
        for event in part["state_after" if is_after else "state"]["events"]:
            self.state[event["type"], event["state_key"]] = event["event_id"]
        if part["timeline"]["limited"]:
            self.timeline = []
            self.gaps += 1
        for event in part["timeline"]["events"]:
            self.senders.add(event["sender"])
            if "state_key" in event and not is_after:
                self.state[event["type"], event["state_key"]] = event["event_id"]
            assert event["event_id"] not in self.timeline, "told twice"
            self.timeline.append(event["event_id"])
        self.is_whole = self.is_whole or ("m.room.create", "") in self.state

    def read(self, events):
        """Apply receipts: of each user the last of a type."""
        for event in events:
            if event["type"] == "m.receipt":
                for event_id, kinds in event["content"].items():
                    for type_, users in kinds.items():
                        self.receipts.update({(type_, user_id): event_id for user_id in users})


class Client:
    """One client's view of its rooms."""

    def __init__(self):
        self.since = None
        self.account_data = {}
        self.joined = {}
        self.invited = set()
        self.knocked = set()
        self.left = {}

    def apply(self, body):
        answer = orjson.loads(body)
        self.since = answer["next_batch"]
        keep(self.account_data, answer)
        rooms = answer.get("rooms", {})
        for section, offered, others in (
            ("invite", self.invited, self.knocked),
            ("knock", self.knocked, self.invited),
        ):
            for room_id in rooms.get(section, {}):
                offered.add(room_id)
                others.discard(room_id)
                # What may have happened before that between two syncs is told nowhere.
                self.joined.pop(room_id, None)
                self.left.pop(room_id, None)
        for room_id, part in rooms.get("leave", {}).items():
            self.invited.discard(room_id)
            self.knocked.discard(room_id)
            room = self.joined.pop(room_id, None) or self.left.get(room_id) or ClientRoom()
            room.apply(part)
            self.left[room_id] = room
        for room_id, part in rooms.get("join", {}).items():
            assert "timeline" in part or room_id in self.joined, "a room begins with its timeline"
            self.invited.discard(room_id)
            self.knocked.discard(room_id)
            self.left.pop(room_id, None)
            self.joined.setdefault(room_id, ClientRoom()).apply(part)
        return answer
