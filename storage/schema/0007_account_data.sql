-- What users keep with their account: one row for each type, global or in a room.
-- Of local users only, and a change replaces its row: this does not grow with history. IDs are text, as with
-- the other tables of accounts; a room that this server knows nothing of may have account data too.

CREATE TABLE account_data (
    -- Of the last change.
    position bigint NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    -- Empty for global account data.
    room_id text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    -- A JSON object. Null: deleted; the row stays, so that every client gets to know.
    content bytea,
    PRIMARY KEY (user_id, room_id, type)
);

CREATE INDEX account_data_by_position ON account_data (user_id, position);
