-- Joins of rooms of other servers that were begun and have not ended: the next life of the server goes on with them.
CREATE TABLE pending_joins (
    room_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    servers text[] NOT NULL,
    -- Of the member event, as JSON.
    content bytea NOT NULL,
    -- How many lives of the server have begun it.
    attempts integer NOT NULL,
    PRIMARY KEY (room_id, user_id)
);
