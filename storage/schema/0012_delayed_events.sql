-- Events that their senders want sent later, unless they think otherwise until then.
CREATE TABLE delayed_events (
    due_ms bigint NOT NULL,
    -- When the delay began to run.
    since_ms bigint NOT NULL,
    delay_ms bigint NOT NULL,
    -- Null: waits still.
    finalised_ms bigint,
    delay_id text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    -- Null: a message event.
    state_key text COLLATE "C",
    -- The client's, so that a repetition schedules nothing anew; null where it gave none.
    transaction_id text COLLATE "C",
    -- If it was sent.
    event_id text COLLATE "C",
    content bytea NOT NULL,
    -- If sending failed: the error, as JSON. With neither of the two it was cancelled.
    error bytea,
    UNIQUE (user_id, device_id, room_id, transaction_id)
);
CREATE INDEX delayed_events_waiting ON delayed_events (due_ms) WHERE finalised_ms IS NULL;
CREATE INDEX delayed_events_over ON delayed_events (finalised_ms) WHERE finalised_ms IS NOT NULL;
