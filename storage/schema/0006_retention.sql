-- Retention: for how long rooms keep their timelines, and what redactions took away.

-- Classes beside 0, which keeps for ever. Each lifetime that was ever configured is a class and stays one, since
-- events may be in it.
CREATE TABLE retention_classes (
    lifetime_ms bigint NOT NULL UNIQUE CHECK (lifetime_ms > 0),
    class smallint PRIMARY KEY CHECK (class > 0)
);

-- For how long a room's message events are shown; null for ever. Its class keeps them at least so long.
ALTER TABLE rooms ADD COLUMN retention_lifetime_ms bigint;
CREATE INDEX rooms_retained ON rooms (room_nid) WHERE retention_class <> 0;

-- What holds now: one row. The time as a position, set forward by the server every minute: reads compare with it,
-- so that all of them agree on what is over its lifetime. And how long redacted content is kept, as configured.
CREATE TABLE retention_present (
    now_position bigint NOT NULL,
    redacted_content_kept_ms bigint NOT NULL
);
INSERT INTO retention_present VALUES (0, 0);

-- Rooms whose message events are on their way into the class of the room. What is at or below done_position is there.
CREATE TABLE retention_moves (
    room_nid bigint PRIMARY KEY,
    done_position bigint NOT NULL
);

-- Events as they were before a redaction, for a time.
CREATE TABLE redacted_events (
    room_nid bigint NOT NULL,
    -- Of the redaction: the age counts from there.
    redacted_position bigint NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    json bytea NOT NULL,
    PRIMARY KEY (room_nid, event_id)
);
CREATE INDEX redacted_events_by_age ON redacted_events (redacted_position);
