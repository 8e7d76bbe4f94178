"""A client that applies what /sync tells, as the specification says, and nothing else."""

import orjson


class ClientRoom:
    """A joined room as the client knows it."""

    def __init__(self):
        self.state = {}
        self.timeline = []
        self.gaps = 0

    def apply(self, part):
        for event in part["state"]["events"]:
            self.state[event["type"], event["state_key"]] = event["event_id"]
        if part["timeline"]["limited"]:
            self.timeline = []
            self.gaps += 1
        for event in part["timeline"]["events"]:
            if "state_key" in event:
                self.state[event["type"], event["state_key"]] = event["event_id"]
            assert event["event_id"] not in self.timeline, "told twice"
            self.timeline.append(event["event_id"])


class Client:
    """One client's view of its rooms."""

    def __init__(self):
        self.since = None
        self.joined = {}
        self.invited = set()
        self.left = {}

    def apply(self, body):
        answer = orjson.loads(body)
        self.since = answer["next_batch"]
        rooms = answer.get("rooms", {})
        for room_id in rooms.get("invite", {}):
            self.invited.add(room_id)
            self.joined.pop(room_id, None)
        for room_id, part in rooms.get("leave", {}).items():
            self.invited.discard(room_id)
            room = self.joined.pop(room_id, None) or ClientRoom()
            room.apply(part)
            self.left[room_id] = room
        for room_id, part in rooms.get("join", {}).items():
            self.invited.discard(room_id)
            self.joined.setdefault(room_id, ClientRoom()).apply(part)
        return answer
