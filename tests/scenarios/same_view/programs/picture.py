"""What one client knows, folded from the answers of `/sync` as the specification says, and told as JSON."""

from timeline import Timeline

_IN = ("join", "invite", "knock")


def told(event):
    """An event of a timeline as views tell it: ID, type, sender, whether it is state and is redacted."""
    redacted = "redacted_because" in event.get("unsigned", {})
    return [event["event_id"], event["type"], event["sender"], "state_key" in event, redacted]


def receipts_in(content):
    """The receipts of an `m.receipt`, each as (user, "type thread"), event."""
    for event_id, kinds in content.items():
        for kind, users in kinds.items():
            for user_id, receipt in users.items():
                yield (user_id, f"{kind} {receipt.get('thread_id', '-')}"), event_id


def kept(account_data):
    """Account data that is not deleted. Push rules are not the user's doing here."""
    return {kind: content for kind, content in account_data.items() if content and kind != "m.push_rules"}


class Room:
    """One room."""

    def __init__(self):
        self.membership = "leave"
        self.state = {}
        self.stripped = {}
        self.timeline = Timeline()
        self.redacted = set()
        self.typing = []
        self.receipts = {}
        self.account_data = {}

    def take(self, membership, told_of_it):
        """Take in what one answer tells of the room."""
        self.membership = membership
        if membership in {"invite", "knock"}:
            self.stripped = {
                (event["type"], event["state_key"]): event
                for event in told_of_it[f"{membership}_state"]["events"]
            }
            return
        timeline = told_of_it.get("timeline", {"events": []})
        for event in told_of_it.get("state", {}).get("events", []) + timeline["events"]:
            if "state_key" in event:
                self.state[event["type"], event["state_key"]] = event
            if event["type"] == "m.room.redaction":
                self.redacted.add(event.get("redacts") or event["content"].get("redacts"))
        if timeline["events"] or timeline.get("limited"):
            self.timeline.extend(
                timeline["events"], limited=timeline.get("limited"), prev_batch=timeline.get("prev_batch")
            )
        for event in told_of_it.get("ephemeral", {}).get("events", []):
            if event["type"] == "m.typing":
                self.typing = event["content"]["user_ids"]
            elif event["type"] == "m.receipt":
                self.receipts.update(receipts_in(event["content"]))
        for event in told_of_it.get("account_data", {}).get("events", []):
            self.account_data[event["type"]] = event["content"]

    def _content(self, kind, key):
        state = self.state if self.membership == "join" else self.stripped
        return state.get((kind, ""), {}).get("content", {}).get(key)

    def view(self):
        """The room as views tell it."""
        view = {"membership": self.membership, "name": self._content("m.room.name", "name")}
        if self.membership != "join":
            return view
        members = {
            user_id: event["content"]
            for (kind, user_id), event in self.state.items()
            if kind == "m.room.member"
        }
        for event in self.timeline.events:
            if event["type"] == "m.room.redaction":
                self.redacted.add(event.get("redacts") or event["content"].get("redacts"))
        timeline = [told(event) for event in self.timeline.events]
        return view | {
            "topic": self._content("m.room.topic", "topic"),
            "members": {
                user_id: f"{content['membership']} {content.get('displayname')}"
                for user_id, content in members.items()
                if content["membership"] != "leave"
            },
            "state": {f"{kind}|{key}": event["event_id"] for (kind, key), event in self.state.items()},
            "timeline": [[*event[:4], event[4] or event[0] in self.redacted] for event in timeline],
            "typing": sorted(self.typing),
            "receipts": {f"{user_id} {kind}": event for (user_id, kind), event in self.receipts.items()},
            "account_data": kept(self.account_data),
        }


class Picture:
    """All of it."""

    def __init__(self):
        self.rooms = {}
        self.presence = {}
        self.account_data = {}

    def room(self, room_id):
        """A room, known from now on."""
        return self.rooms.setdefault(room_id, Room())

    def take(self, answer):
        """Take in one answer of `/sync`."""
        for section, rooms in answer.get("rooms", {}).items():
            for room_id, told_of_it in rooms.items():
                self.room(room_id).take(section, told_of_it)
        for event in answer.get("presence", {}).get("events", []):
            content = event["content"]
            self.presence[event["sender"]] = [content["presence"], content.get("status_msg")]
        for event in answer.get("account_data", {}).get("events", []):
            self.account_data[event["type"]] = event["content"]

    async def view(self, page):
        """All of it as views tell it; `page(room_id, token)` asks for history where there are gaps."""
        here = {room_id: room for room_id, room in self.rooms.items() if room.membership in _IN}
        for room_id, room in here.items():
            if room.membership == "join":
                await room.timeline.fill(lambda token, room_id=room_id: page(room_id, token))
        return {
            "rooms": {room_id: room.view() for room_id, room in here.items()},
            "presence": self.presence,
            "account_data": kept(self.account_data),
        }
