-- Connections of sliding sync, as they were when they last rested: so that they go on after a restart.

CREATE TABLE sliding_connections (
    session_id bigint NOT NULL REFERENCES device_sessions (session_id) ON DELETE CASCADE,
    saved_ms bigint NOT NULL,
    -- The name that the client gave it, in UTF-8 after a byte 1; nothing: it gave none.
    conn_id bytea NOT NULL,
    -- The names of the one or two places that can be asked for.
    positions text[] COLLATE "C" NOT NULL,
    snapshot bytea NOT NULL,
    PRIMARY KEY (session_id, conn_id)
);

CREATE INDEX sliding_connections_by_age ON sliding_connections (saved_ms);
