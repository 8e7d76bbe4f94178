"""A client that applies what sliding sync tells, as the proposal says, and nothing else."""

FIELDS = ("name", "avatar", "heroes", "joined_count", "invited_count", "bump_stamp", "invite_state")


class SlidingRoom:
    """A room as the client knows it."""

    def __init__(self):
        self.fields = {}
        self.state = {}
        self.timeline = []

    def apply(self, entry):
        for event in entry.get("required_state", []):
            self.state[event["type"], event["state_key"]] = event["event_id"]
            if event["type"] == "m.room.name" and not event["content"].get("name"):
                self.fields.pop("name", None)  # taken away: nothing but the state says so
        for name in FIELDS:
            if name in entry:
                self.fields[name] = entry[name]
                assert name == "avatar" or entry[name] is not None
        if "timeline" not in entry:
            return
        ids = [event["event_id"] for event in entry["timeline"]]
        assert entry["num_live"] <= len(ids)
        if entry["limited"] or entry.get("unstable_expanded_timeline"):
            self.timeline = []
        assert not set(ids) & set(self.timeline), "told twice"
        self.timeline += ids


class SlidingClient:
    """One connection's view of its rooms."""

    def __init__(self):
        self.pos = None
        self.rooms = {}
        self.counts = {}
        self.account_data = {}
        self.receipts = {}

    def apply(self, answer):
        is_first = self.pos is None
        self.pos = answer["pos"]
        self.counts = {key: each["count"] for key, each in answer["lists"].items()}
        for room_id, entry in answer["rooms"].items():
            assert "initial" not in entry or entry["initial"] is True
            assert entry.get("initial") or not is_first
            if entry.get("initial"):
                self.rooms[room_id] = SlidingRoom()
            assert room_id in self.rooms, "a room begins with all of it"
            self.rooms[room_id].apply(entry)
        nothing = {"global": [], "rooms": {}}
        told = answer["extensions"].get("account_data", nothing)
        for room_id, events in ((None, told["global"]), *told["rooms"].items()):
            for event in events:
                self.account_data[room_id, event["type"]] = event["content"]
        for room_id, event in answer["extensions"].get("receipts", nothing)["rooms"].items():
            for event_id, types in event["content"].items():
                for type_, users in types.items():
                    for user_id in users:
                        self.receipts[room_id, type_, user_id] = event_id
        return answer

    def kept(self):
        """Account data that is there."""
        return {key: content for key, content in self.account_data.items() if content}
