-- Rooms as graphs: what the state was before each event, and events that came from other servers.

-- Which state an event stands on. The state after an accepted state event has that event's position as its number;
-- the state after any other event is the one before it. Null for outliers, whose place in the graph is unknown.
ALTER TABLE events ADD COLUMN state_group bigint;
-- The positions that an event's auth events had when they were stored: of state events only, as no others allow anything.
ALTER TABLE events ADD COLUMN auth_nids bigint[];
-- Both are in the JSON; nothing looks for them by SQL.
ALTER TABLE events DROP COLUMN prev_events;
ALTER TABLE events DROP COLUMN auth_events;

-- Groups share structure: a group is its base and what differs from it.
-- A group that differs from the one before it by one event only has no row: the event's row says it all.
CREATE TABLE state_groups (
    room_nid bigint NOT NULL,
    state_group bigint NOT NULL,
    -- 0: the empty state.
    base bigint NOT NULL,
    depth integer NOT NULL,
    -- Numbers of events by type and state key, packed; 0 for what the base has and this group has not.
    delta bytea NOT NULL,
    PRIMARY KEY (room_nid, state_group)
);
ALTER TABLE state_groups ALTER COLUMN delta SET STORAGE EXTERNAL; -- compressed already

-- An event that was stored as an outlier and found its place later has moved: groups know it by its first position.
CREATE TABLE moved_events (
    room_nid bigint NOT NULL,
    nid bigint NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (room_nid, nid)
);
CREATE INDEX moved_events_back ON moved_events (room_nid, position);

-- The current state of rooms and its changes, in few bytes: rooms may have 100,000 members. State keys are numbered
-- from 1 upwards, which fits 32 bits.
ALTER TABLE current_state RENAME TO old_current_state;
ALTER TABLE old_current_state RENAME CONSTRAINT current_state_pkey TO old_current_state_pkey;
CREATE TABLE current_state (
    room_nid bigint NOT NULL,
    -- The event's number, which is its position unless it has moved; 0 where there is no such state any more.
    position bigint NOT NULL,
    state_key_nid integer NOT NULL,
    type_nid integer NOT NULL,
    PRIMARY KEY (room_nid, type_nid, state_key_nid)
);
INSERT INTO current_state (room_nid, position, state_key_nid, type_nid)
    SELECT room_nid, position, state_key_nid, type_nid FROM old_current_state ORDER BY 1, 4, 3;
DROP TABLE old_current_state;

ALTER TABLE state_changes RENAME TO old_state_changes;
ALTER TABLE old_state_changes RENAME CONSTRAINT state_changes_pkey TO old_state_changes_pkey;
ALTER INDEX state_changes_in_order RENAME TO old_state_changes_in_order;
CREATE TABLE state_changes (
    room_nid bigint NOT NULL,
    position bigint NOT NULL,
    -- The event that became the state at the position: null where it is the event at that position itself, 0 where
    -- the state lost what it had for the key.
    nid bigint,
    state_key_nid integer NOT NULL,
    type_nid integer NOT NULL,
    PRIMARY KEY (room_nid, type_nid, state_key_nid, position)
);
INSERT INTO state_changes (room_nid, position, state_key_nid, type_nid)
    SELECT room_nid, position, state_key_nid, type_nid FROM old_state_changes ORDER BY 1, 2;
CREATE INDEX state_changes_in_order ON state_changes (room_nid, position);
DROP TABLE old_state_changes;

-- To count them: they are few, even where members are many.
CREATE INDEX memberships_invited ON memberships (room_nid) WHERE membership = 'invite';

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
