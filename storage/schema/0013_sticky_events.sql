-- Events that everybody in the room is told of for a while. Rows go when that is over, so this does not grow.
CREATE TABLE sticky_events (
    room_nid bigint NOT NULL,
    -- In the stream of sticky events: the event's own, or a later one if it was soft-failed until then.
    position bigint NOT NULL,
    -- In milliseconds since 1970: when it is over.
    until_ms bigint NOT NULL,
    -- By the state that the room had when it came. Nobody is told of it unless it passes with a later one.
    is_soft_failed boolean NOT NULL,
    sender text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (room_nid, position)
);
CREATE INDEX sticky_events_by_id ON sticky_events (event_id);
CREATE INDEX sticky_events_over ON sticky_events (until_ms);

-- For how many milliseconds a delayed event is sticky once it is sent; null: it is not.
ALTER TABLE delayed_events ADD COLUMN sticky_ms bigint;
-- The session that scheduled it: it is told the delay ID with the event. 0: nobody knows.
ALTER TABLE delayed_events ADD COLUMN session_id bigint NOT NULL DEFAULT 0;
CREATE INDEX delayed_events_sent ON delayed_events (session_id, event_id) WHERE event_id IS NOT NULL;
