-- Rooms as graphs: what the state was before each event, and events that came from other servers.

-- Which state an event stands on. The state after an accepted state event has that event's position as its number;
-- the state after any other event is the one before it. Null for outliers, whose place in the graph is unknown.
ALTER TABLE events ADD COLUMN state_group bigint;
-- The positions that an event's auth events had when they were stored: of state events only, as no others allow anything.
ALTER TABLE events ADD COLUMN auth_nids bigint[];
-- Both are in the JSON; nothing looks for them by SQL.
ALTER TABLE events DROP COLUMN prev_events;
ALTER TABLE events DROP COLUMN auth_events;

-- Groups share structure: a group is its base and what differs from it, as packed arrays of 64-bit integers.
-- A group that differs from the one before it by one event only has no row: the event's row says it all.
CREATE TABLE state_groups (
    room_nid bigint NOT NULL,
    state_group bigint NOT NULL,
    -- 0: the empty state.
    base bigint NOT NULL,
    depth bigint NOT NULL,
    -- Type (high half) and state key (low half), ascending.
    keys bytea NOT NULL,
    -- The events' positions; 0 for what the base has and this group has not.
    nids bytea NOT NULL,
    PRIMARY KEY (room_nid, state_group)
);

-- An event that was stored as an outlier and found its place later has moved: groups know it by its first position.
CREATE TABLE moved_events (
    room_nid bigint NOT NULL,
    nid bigint NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (room_nid, nid)
);
CREATE INDEX moved_events_back ON moved_events (room_nid, position);

-- The event that became the state at a position: null where it is the event at that position itself, 0 where the
-- state lost what it had for the key.
ALTER TABLE state_changes ADD COLUMN nid bigint;
ALTER TABLE state_changes DROP COLUMN event_id;
ALTER TABLE state_changes DROP COLUMN replaced_event_id;
-- Its position is the event's; 0 where there is no such state any more.
ALTER TABLE current_state DROP COLUMN event_id;

ALTER TABLE room_tips ADD COLUMN state_group bigint NOT NULL DEFAULT 0;

-- Events that others name as their predecessors and that we do not have: where history can be asked for.
CREATE TABLE backward_extremities (
    room_nid bigint NOT NULL,
    position bigint NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (room_nid, event_id, position)
);

-- Redactions of events that we did not have when they came.
CREATE TABLE waiting_redactions (
    room_nid bigint NOT NULL,
    position bigint NOT NULL,
    redacts text COLLATE "C" NOT NULL,
    PRIMARY KEY (room_nid, redacts, position)
);

-- Rooms of before: one line, so the state before an event is what the last change before it made.
UPDATE events SET state_group = coalesce((
    SELECT max(position) FROM state_changes
    WHERE state_changes.room_nid = events.room_nid AND state_changes.position < events.position
), 0);
UPDATE room_tips SET state_group = coalesce((
    SELECT max(position) FROM state_changes WHERE state_changes.room_nid = room_tips.room_nid
), 0);
