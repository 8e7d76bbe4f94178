-- How far users have read: the last receipt of each kind, by thread. Replaced, so this does not grow with history.
CREATE TABLE receipts (
    room_nid bigint NOT NULL,
    -- Of the receipt in the stream.
    position bigint NOT NULL,
    -- Of the event that it names.
    event_position bigint NOT NULL,
    ts_ms bigint NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    -- Empty: of no thread. Else `main`, or the ID of the thread's root.
    thread_id text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (room_nid, user_id, type, thread_id)
);
CREATE INDEX receipts_in_order ON receipts (room_nid, position);
