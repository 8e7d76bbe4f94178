"""Where a client's view differs from the truth, apart from what is known of that client."""

from tests.scenarios.same_view.truth import OUT_OF_SIGHT


def differences(kind, view, truth, ignored):
    """Each difference as (room or None, sentence).

    Args:
        kind: of client.
        view: what it knows.
        truth: what the server says.
        ignored: whom the user ignored at some time: what was sent meanwhile is told to new devices only.
    """
    view, truth = _comparable(kind, view, truth, ignored), _comparable(kind, truth, truth, ignored)
    unsure = {
        event[0]
        for room in truth["rooms"].values()
        for event in room.get("timeline", ())
        if event[4] == OUT_OF_SIGHT
    }
    for room in (*view["rooms"].values(), *truth["rooms"].values()):
        if "timeline" in room:
            room["timeline"] = [[*event[:4], event[0] in unsure or event[4]] for event in room["timeline"]]
    found = []
    for part in ("presence", "account_data"):
        found += [(None, text) for text in _unlike(part, view[part], truth[part])]
    for room_id in sorted(view["rooms"].keys() | truth["rooms"].keys()):
        mine, real = view["rooms"].get(room_id), truth["rooms"].get(room_id)
        if mine is None or real is None:
            found.append((room_id, f"knows {_membership(mine)}, really {_membership(real)}"))
            continue
        found += [(room_id, text) for text in _unlike("", mine, real)]
    return found


def _membership(room):
    return "nothing of it" if room is None else room["membership"]


def _comparable(kind, view, truth, ignored):
    presence = view["presence"]
    if kind == "sliding":
        presence = truth["presence"]  # COMPAT: sliding sync has no place for presence
    people = truth["presence"].keys() - ignored
    return {
        # Offline and never heard of are the same.
        "presence": {
            user: presence[user] for user in people if presence.get(user, ["offline"])[0] != "offline"
        },
        "account_data": view["account_data"],
        "rooms": {
            room_id: _comparable_room(kind, room, ignored)
            for room_id, room in view["rooms"].items()
            # COMPAT: nio 0.26 does not read the section `knock`
            if kind != "nio" or room["membership"] != "knock"
        },
    }


def _comparable_room(kind, room, ignored):
    if room["membership"] != "join":
        return room
    state, receipts = dict(room["state"]), room["receipts"]
    if kind == "sliding":
        state.pop("m.room.name|", None)  # COMPAT: matrix-js-sdk 43 makes its own event of the name
        # COMPAT: an answer of sliding sync has one `m.receipt` event for a room, and that has place for one
        # receipt of a user on an event: the one for all threads.
        receipts = {
            key: event
            for key, event in receipts.items()
            if key == _in_all_threads(key) or receipts.get(_in_all_threads(key)) != event
        }
    return room | {
        # COMPAT: matrix-js-sdk 43 gives who was banned the display name from before.
        "members": {
            user_id: "ban" if text.startswith("ban ") else text for user_id, text in room["members"].items()
        },
        "state": state,
        "receipts": receipts,
        "timeline": [event for event in room["timeline"] if event[3] or event[2] not in ignored],
        "typing": [user for user in room["typing"] if user not in ignored],
    }


def _in_all_threads(key):
    user_id, kind, _ = key.split(" ")
    return f"{user_id} {kind} -"


def _unlike(where, mine, real):
    """Sentences on how a value differs from what it should be."""
    if mine == real:
        return []
    if isinstance(mine, dict) and isinstance(real, dict):
        keys = sorted(mine.keys() | real.keys())
        return [text for key in keys for text in _unlike(f"{where}.{key}", mine.get(key), real.get(key))]
    if where.endswith(".timeline") and mine is not None and real is not None:
        return [f"{where}: {text}" for text in _unlike_timelines(mine, real)]
    return [f"{where} is {mine!r}, should be {real!r}"]


def _unlike_timelines(mine, real):
    known, due = {event[0]: event for event in mine}, {event[0]: event for event in real}
    found = [f"lacks {due[event]}" for event in due.keys() - known.keys()]
    found += [f"has besides {known[event]}" for event in known.keys() - due.keys()]
    found += [
        f"knows {known[event]}, should be {due[event]}"
        for event in known.keys() & due.keys()
        if known[event] != due[event]
    ]
    if len(known) < len(mine):
        found.append(f"tells {len(mine) - len(known)} events twice")
    return found or [
        f"has another order: {[event[0] for event in mine]}, should be {[event[0] for event in real]}"
    ]
