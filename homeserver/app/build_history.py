"""Puts together what reads the timelines of rooms, on the tables that it reads."""

from dataclasses import dataclass

from homeserver.rooms.bundles import Bundles
from homeserver.rooms.client_events import ClientEvents
from homeserver.rooms.context import Contexts
from homeserver.rooms.event_times import EventTimes
from homeserver.rooms.history import History
from homeserver.rooms.past import NoOlderHistory, OlderHistory
from homeserver.rooms.ports import IgnoredUsersReader
from homeserver.rooms.relations import RelationReads
from homeserver.rooms.sight import Sight
from homeserver.rooms.state_lists import StateLists
from homeserver.rooms.threads import ThreadReads
from homeserver.rooms.timeline import Timeline
from homeserver.runtime.clock import Clock
from storage.interning import Interning
from storage.pool import Database
from storage.tables.events import Events
from storage.tables.relations import Relations
from storage.tables.state import State
from storage.tables.transactions import Transactions

__all__ = ["HistoryServices", "build_history"]

_HERE_IS_ALL = NoOlderHistory()


@dataclass(frozen=True, slots=True)
class HistoryServices:
    """What the endpoints that read timelines call."""

    client_events: ClientEvents
    contexts: Contexts
    event_times: EventTimes
    history: History
    relation_reads: RelationReads
    relations: Relations
    state_lists: StateLists
    timeline: Timeline
    thread_reads: ThreadReads


def build_history(
    database: Database, interning: Interning, *, sight: Sight, ignored_users: IgnoredUsersReader,
    clock: Clock, older: OlderHistory = _HERE_IS_ALL,
) -> HistoryServices:  # fmt: skip
    """Make the services that read timelines."""
    events, transactions = Events(database), Transactions(database)
    state, relations = State(database, events), Relations(database, interning)
    timeline = Timeline(sight=sight, events=events, state=state, ignored_users=ignored_users)
    client_events = ClientEvents(
        events=events, state=state, transactions=transactions, sight=sight, ignored_users=ignored_users,
        bundles=Bundles(relations=relations, events=events, transactions=transactions, sight=sight),
        clock=clock,
    )  # fmt: skip
    lists = StateLists(sight=sight, state=state, client_events=client_events)
    return HistoryServices(
        client_events=client_events,
        contexts=Contexts(
            timeline=timeline, state=state, client_events=client_events, lists=lists, sight=sight, older=older
        ),
        event_times=EventTimes(timeline=timeline, events=events, older=older),
        history=History(timeline=timeline, client_events=client_events, older=older),
        relation_reads=RelationReads(timeline=timeline, relations=relations, client_events=client_events),
        relations=relations,
        state_lists=lists,
        timeline=timeline,
        thread_reads=ThreadReads(timeline=timeline, relations=relations, client_events=client_events),
    )
