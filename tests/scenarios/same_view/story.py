"""What happened, for whoever reads of a failure: short names, and one line for each action."""

import re

_IDS = re.compile(r"[!$][A-Za-z0-9_\-+/=.]{10,}(?::[a-z0-9.:]+)?|@[a-z0-9\-_.]+:[a-z0-9.]+")
_LINES_OF_A_ROOM = 25


class Story:
    """The lines, and the names in them."""

    def __init__(self):
        self._lines = []
        self._names = {}

    def name(self, identifier, name):
        """Call something by a name from now on."""
        self._names.setdefault(identifier, name)

    def readable(self, text):
        """A text with names in place of identifiers."""
        return _IDS.sub(lambda found: self._names.get(found[0], found[0]), text)

    def tell(self, text, room_id=None):
        """Add a line; about a room, or about everything."""
        self._lines.append((room_id, text))

    def about(self, room_ids):
        """The last lines about some rooms, and all that are about everything."""
        wanted = set(
            sorted(n for n, (room, _) in enumerate(self._lines) if room in room_ids)[-_LINES_OF_A_ROOM:]
        )
        wanted |= {n for n, (room, _) in enumerate(self._lines) if room is None}
        return "\n".join(
            f"{n:4} {self.readable(text)}" for n, (_, text) in enumerate(self._lines) if n in wanted
        )
