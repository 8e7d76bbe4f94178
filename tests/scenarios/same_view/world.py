"""What the driver knows of rooms, to choose what may work next. It may be wrong after a race."""

from dataclasses import dataclass, field


@dataclass
class KnownRoom:
    """One room.

    Attributes:
        room_id: its ID.
        members: the membership of each user, by ID.
        sent: events that are not state: (event ID, sender).
        roots: events that threads hang on.
    """

    room_id: str
    members: dict = field(default_factory=dict)
    sent: list = field(default_factory=list)
    roots: list = field(default_factory=list)

    def having(self, membership):
        """The users with a membership."""
        return sorted(user_id for user_id, now in self.members.items() if now == membership)


@dataclass
class World:
    """All rooms, and who ignores whom.

    Attributes:
        rooms: every room that was made.
        ignoring: whom a user ignores now.
        ignored_once: whom a user ever ignored.
        unheard: by user, events of someone they ignored then and from then on: they must not see them.
    """

    rooms: list = field(default_factory=list)
    ignoring: dict = field(default_factory=dict)
    ignored_once: dict = field(default_factory=dict)
    unheard: dict = field(default_factory=dict)

    def rooms_of(self, user_id, membership="join"):
        """The rooms in which a user has a membership."""
        return [room for room in self.rooms if room.members.get(user_id) == membership]

    def learn(self, person, action, body):
        """Take in that an action was done."""
        room = next((one for one in self.rooms if one.room_id == action.get("room_id")), None)
        verb, user_id = action["verb"], person.user_id
        if verb == "create":
            invited = dict.fromkeys(action["body"].get("invite", []), "invite")
            self.rooms.append(KnownRoom(body["room_id"], {user_id: "join", **invited}))
        elif verb in _OWN:
            room.members[user_id] = _OWN[verb]
        elif verb in _OTHERS:
            room.members[action["user_id"]] = _OTHERS[verb]
        elif verb == "send":
            room.sent.append((body["event_id"], user_id))
            if "thread" in action["what"]:
                room.roots.append(action["content"]["m.relates_to"]["event_id"])
            for listener, whom in self.ignoring.items():
                if user_id in whom:
                    self.unheard.setdefault(listener, {})[body["event_id"]] = user_id
        elif verb == "ignore":
            whom = set(action["body"]["ignored_users"])
            self.ignoring[user_id] = whom
            self.ignored_once.setdefault(user_id, set()).update(whom)
            unheard = self.unheard.get(user_id, {})
            self.unheard[user_id] = {event: sender for event, sender in unheard.items() if sender in whom}


_OWN = {"join": "join", "leave": "leave", "knock": "knock"}
_OTHERS = {"invite": "invite", "kick": "leave", "ban": "ban", "unban": "leave"}
