"""A room's timeline as a client keeps it: what sync told, with the gaps filled from the history."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Page = Callable[[str], Awaitable[dict]]
"""Asks for the history of the room backward from a token: an answer of `/messages`."""


@dataclass
class _Segment:
    """Events without a gap between them, oldest first; what is before them begins at a token."""

    before: str | None
    events: list = field(default_factory=list)


class Timeline:
    """One room's events, oldest first."""

    def __init__(self):
        self._segments = []
        self._known = set()

    def extend(self, events, *, limited, prev_batch):
        """Take in the timeline of one answer of sync; `limited` says that something before it is missing."""
        if limited and any(event["event_id"] in self._known for event in events):
            # Who comes back into a room is told its last events, known or not; others are asked for.
            self._segments.clear()
            self._known.clear()
        if limited or not self._segments:
            self._segments.append(_Segment(prev_batch))
        # What comes twice without a gap is there twice: that is for whoever compares to find.
        self._segments[-1].events += events
        self._known.update(event["event_id"] for event in events)

    async def fill(self, page: Page):
        """Page back through every gap, the newest first, until it meets what is known or the beginning."""
        while any(segment.before for segment in self._segments):
            number = max(n for n, segment in enumerate(self._segments) if segment.before)
            segment, older = self._segments[number], self._segments[:number]
            earlier = {event["event_id"] for each in older for event in each.events}
            while segment.before:
                answer = await page(segment.before)
                segment.before = answer.get("end")
                for event in answer["chunk"]:
                    if event["event_id"] in earlier:
                        segment.before = None
                        break
                    if event["event_id"] not in self._known:
                        segment.events.insert(0, event)
                        self._known.add(event["event_id"])

    @property
    def events(self):
        """All of them."""
        return [event for segment in self._segments for event in segment.events]
