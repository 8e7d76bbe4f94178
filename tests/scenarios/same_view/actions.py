"""Random actions: what a user may do next, as requests that any client can make in its own way.

An action has `verb`, `what` (for the story), `method`, `path` and `body`, and for the calls that libraries
have of their own what those take.
"""

from urllib.parse import quote

_SECONDS = 1000
LONG_MS = 90 * _SECONDS
"""Longer than it takes to look at all views."""


def _path(*segments):
    return "/_matrix/client/v3/" + "/".join(quote(segment, safe="") for segment in segments)


class Actions:
    """Chooses actions by chance; each world leaves out some kinds altogether, so that others come together.

    Args:
        chance: the source of all choices.
        world: what is known.
        people: all users.
    """

    def __init__(self, chance, world, people):
        self._chance = chance
        self._world = world
        self._people = people
        self._count = 0
        kinds = [kind for kind in _WEIGHTS if kind in _ALWAYS or chance.random() < 0.85]
        self._kinds = {kind: _WEIGHTS[kind] for kind in kinds}
        self.left_out = _WEIGHTS.keys() - self._kinds.keys()

    def next(self, person):
        """Something that a user can do, as far as is known."""
        while True:
            kind = self._chance.choices(list(self._kinds), list(self._kinds.values()))[0]
            action = getattr(self, f"_{kind}")(person)
            if action is not None:
                return action

    def _number(self):
        self._count += 1
        return self._count

    def _a_room(self, person, membership="join"):
        rooms = self._world.rooms_of(person.user_id, membership)
        return self._chance.choice(rooms) if rooms else None

    def _somebody(self, room, membership, besides):
        users = [user_id for user_id in room.having(membership) if user_id != besides.user_id]
        return self._chance.choice(users) if users else None

    def _others(self, person):
        return [one.user_id for one in self._people if one is not person]

    # Rooms and who is in them.

    def create(self, **options):
        """Make a room."""
        number = self._number()
        body = {"name": f"Room {number}", "invite": [], **options}
        return {
            "verb": "create", "what": f"makes room {number}, {body.get('preset', 'private_chat')}",
            "body": body, "method": "POST", "path": _path("createRoom"),
        }  # fmt: skip

    def _create(self, person):
        if len(self._world.rooms) > 8:
            return None
        chance, options = self._chance, {}
        options["preset"] = chance.choice(["public_chat", "private_chat", "trusted_private_chat"])
        others = self._others(person)
        options["invite"] = chance.sample(others, chance.randint(0, len(others)))
        if chance.random() < 0.3:
            options["room_version"] = chance.choice(["6", "9", "10", "11", "12"])
        if chance.random() < 0.3:
            rule = {"join_rule": "knock"}
            options["initial_state"] = [{"type": "m.room.join_rules", "state_key": "", "content": rule}]
        if chance.random() < 0.3:
            del options["preset"]
        return self.create(**options)

    def _member(self, verb, room, what, user_id=None):
        body = {} if user_id is None else {"user_id": user_id}
        return {
            "verb": verb, "room_id": room.room_id, "user_id": user_id, "what": what, "body": body,
            "method": "POST", "path": _path("rooms", room.room_id, verb),
        }  # fmt: skip

    def _join(self, person):
        chance = self._chance
        invited = self._world.rooms_of(person.user_id, "invite")
        away = [room for room in self._world.rooms if room.members.get(person.user_id) in {None, "leave"}]
        room = chance.choice(invited or away) if invited or away else None
        return None if room is None else self._member("join", room, "joins")

    def _leave(self, person):
        room = self._a_room(person, self._chance.choice(["join", "invite", "knock"]))
        return (
            None if room is None else self._member("leave", room, f"leaves ({room.members[person.user_id]})")
        )

    def _knock(self, person):
        rooms = [room for room in self._world.rooms if room.members.get(person.user_id) in {None, "leave"}]
        room = self._chance.choice(rooms) if rooms else None
        if room is None:
            return None
        action = self._member("knock", room, "knocks")
        return action | {"path": _path("knock", room.room_id)}

    def _invite(self, person):
        room = self._a_room(person)
        absent = [] if room is None else [
            user for user in self._others(person) if room.members.get(user) in {None, "leave", "knock"}
        ]  # fmt: skip
        user_id = self._chance.choice(absent) if absent else None
        return None if user_id is None else self._member("invite", room, f"invites {user_id}", user_id)

    def _kick(self, person):
        return self._put_out(person, "kick", "kicks")

    def _ban(self, person):
        return self._put_out(person, "ban", "bans")

    def _put_out(self, person, verb, says):
        room = self._a_room(person)
        whose = self._chance.choice(["join", "join", "invite", "knock"])
        user_id = None if room is None else self._somebody(room, whose, person)
        return None if user_id is None else self._member(verb, room, f"{says} {user_id}", user_id)

    def _unban(self, person):
        room = self._a_room(person)
        user_id = None if room is None else self._somebody(room, "ban", person)
        return None if user_id is None else self._member("unban", room, f"unbans {user_id}", user_id)

    # What is said.

    def say(self, room, what, kind, content):
        """Send an event."""
        transaction_id = f"t{self._number()}"
        return {
            "verb": "send", "room_id": room.room_id, "type": kind, "content": content, "what": what,
            "body": content, "transaction_id": transaction_id, "method": "PUT",
            "path": _path("rooms", room.room_id, "send", kind, transaction_id),
        }  # fmt: skip

    def _message(self, person):
        room = self._a_room(person)
        if room is None:
            return None
        body = f"message {self._number()}"
        return self.say(room, f"says {body!r}", "m.room.message", {"msgtype": "m.text", "body": body})

    def _related(self, person):
        room = self._a_room(person)
        event = None if room is None or not room.sent else self._chance.choice(room.sent[-30:])
        return room, event

    def _edit(self, person):
        room, event = self._related(person)
        if event is None:
            return None
        text = {"msgtype": "m.text", "body": f"edit {self._number()}"}
        relation = {"rel_type": "m.replace", "event_id": event[0]}
        return self.say(
            room,
            f"edits {event[0]}",
            "m.room.message",
            text | {"m.new_content": text, "m.relates_to": relation},
        )

    def _react(self, person):
        room, event = self._related(person)
        if event is None:
            return None
        relation = {"rel_type": "m.annotation", "event_id": event[0], "key": self._chance.choice("👍👎🎉")}
        return self.say(room, f"reacts to {event[0]}", "m.reaction", {"m.relates_to": relation})

    def _thread(self, person):
        room, event = self._related(person)
        if event is None:
            return None
        root = self._chance.choice(room.roots) if room.roots and self._chance.random() < 0.6 else event[0]
        relation = {"rel_type": "m.thread", "event_id": root}
        content = {"msgtype": "m.text", "body": f"reply {self._number()}", "m.relates_to": relation}
        return self.say(room, f"replies in thread {root}", "m.room.message", content)

    def _redact(self, person):
        room, event = self._related(person)
        if event is None:
            return None
        transaction_id = f"t{self._number()}"
        return {
            "verb": "redact", "room_id": room.room_id, "event_id": event[0], "transaction_id": transaction_id,
            "what": f"redacts {event[0]}", "body": {}, "method": "PUT",
            "path": _path("rooms", room.room_id, "redact", event[0], transaction_id),
        }  # fmt: skip

    def _state(self, person):
        room = self._a_room(person)
        if room is None:
            return None
        number = self._number()
        kind, content, key = self._chance.choice([
            ("m.room.name", {"name": f"Name {number}"}, ""),
            ("m.room.topic", {"topic": f"Topic {number}"}, ""),
            ("org.example.thing", {"number": number}, self._chance.choice(["", "one", "two"])),
            ("m.room.join_rules", {"join_rule": self._chance.choice(["public", "invite", "knock"])}, ""),
            ("m.room.history_visibility", {"history_visibility": self._chance.choice(
                ["shared", "shared", "joined", "invited", "world_readable"])}, ""),
        ])  # fmt: skip
        return {
            "verb": "state", "room_id": room.room_id, "type": kind, "content": content, "state_key": key,
            "what": f"sets {kind} {key} {content}", "body": content, "method": "PUT",
            "path": _path("rooms", room.room_id, "state", kind, key),
        }  # fmt: skip

    # What is live.

    def typing(self, person, room, timeout_ms):
        """Type for so long; 0: no more."""
        body = {"typing": bool(timeout_ms)} | ({"timeout": timeout_ms} if timeout_ms else {})
        return {
            "verb": "typing", "room_id": room.room_id, "typing": bool(timeout_ms),
            "timeout_ms": timeout_ms or 1, "body": body,
            "what": f"types for {timeout_ms} ms" if timeout_ms else "types no more",
            "method": "PUT", "path": _path("rooms", room.room_id, "typing", person.user_id),
        }  # fmt: skip

    def _type(self, person):
        room = self._a_room(person)
        return (
            None
            if room is None
            else self.typing(person, room, self._chance.choice([0, 300, LONG_MS, LONG_MS]))
        )

    def _receipt(self, person):
        room, event = self._related(person)
        if event is None:
            return None
        kind = self._chance.choice(["m.read", "m.read", "m.read.private"])
        thread = self._chance.choice([None, None, "main", *room.roots[-1:]])
        body = {} if thread is None else {"thread_id": thread}
        return {
            "verb": "receipt", "room_id": room.room_id, "what": f"{kind} {event[0]} in {thread or 'all'}",
            "body": body, "method": "POST", "path": _path("rooms", room.room_id, "receipt", kind, event[0]),
        }  # fmt: skip

    def _fully_read(self, person):
        room, event = self._related(person)
        if event is None:
            return None
        return {
            "verb": "read_markers", "room_id": room.room_id, "fully_read": event[0], "read": event[0],
            "what": f"has fully read {event[0]}", "body": {"m.fully_read": event[0], "m.read": event[0]},
            "method": "POST", "path": _path("rooms", room.room_id, "read_markers"),
        }  # fmt: skip

    def presence(self, person, state, status):
        """Say how one is, from one device."""
        return {
            "verb": "presence", "what": f"is {state}, {status!r}",
            "body": {"presence": state, "status_msg": status}, "method": "PUT",
            "path": _path("presence", person.user_id, "status"),
        }  # fmt: skip

    def _presence(self, person):
        state = self._chance.choice(["online", "unavailable"])
        return self.presence(person, state, self._chance.choice(["", f"status {self._number()}"]))

    # What one keeps.

    def _profile(self, person):
        name = f"{person.name.title()} {self._number()}"
        return {
            "verb": "profile", "what": f"is called {name}", "body": {"displayname": name}, "method": "PUT",
            "path": _path("profile", person.user_id, "displayname"),
        }  # fmt: skip

    def _account_data(self, person):
        room = self._chance.choice([None, self._a_room(person)])
        where = () if room is None else ("rooms", room.room_id)
        kind = f"org.example.kind{self._chance.randint(1, 3)}"
        content = {} if self._chance.random() < 0.3 else {"number": self._number()}
        return {
            "verb": "account_data", "what": f"notes {kind} {content}", "body": content, "method": "PUT",
            "path": _path("user", person.user_id, *where, "account_data", kind),
        } | ({} if room is None else {"room_id": room.room_id})  # fmt: skip

    def _tag(self, person):
        room = self._a_room(person)
        if room is None:
            return None
        tag = self._chance.choice(["m.favourite", "u.work", "u.play"])
        goes, content = self._chance.random() < 0.4, {"order": self._chance.randint(0, 10) / 10}
        return {
            "verb": "untag" if goes else "tag", "room_id": room.room_id, "tag": tag, "content": content,
            "what": f"{'takes away' if goes else 'gives'} tag {tag}", "body": None if goes else content,
            "method": "DELETE" if goes else "PUT",
            "path": _path("user", person.user_id, "rooms", room.room_id, "tags", tag),
        }  # fmt: skip

    def _ignore(self, person):
        others = self._others(person)
        whom = self._chance.sample(others, self._chance.choice([0, 0, 1]))
        if not whom and not self._world.ignoring.get(person.user_id):
            return None
        return {
            "verb": "ignore", "what": f"ignores {whom or 'nobody'}", "method": "PUT",
            "body": {"ignored_users": {user_id: {} for user_id in whom}},
            "path": _path("user", person.user_id, "account_data", "m.ignored_user_list"),
        }  # fmt: skip


_WEIGHTS = {
    "create": 4, "join": 12, "leave": 4, "knock": 4, "invite": 6, "kick": 3, "ban": 2, "unban": 2,
    "message": 30, "edit": 6, "react": 6, "thread": 8, "redact": 5, "state": 8, "type": 8, "receipt": 12,
    "fully_read": 4, "presence": 3, "profile": 1, "account_data": 5, "tag": 4, "ignore": 1,
}  # fmt: skip
_ALWAYS = {"create", "join", "message", "invite"}
