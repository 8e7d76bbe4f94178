-- What of presence outlives the process: one row for each local user who ever was here. Replaced, never grown.
CREATE TABLE presence (
    last_active_ms bigint NOT NULL DEFAULT 0,
    -- Whether the user was not offline, as of the last write; after a crash it tells whom to expect back.
    is_here boolean NOT NULL DEFAULT false,
    user_id text COLLATE "C" PRIMARY KEY,
    status_msg text COLLATE "C"
);
CREATE INDEX presence_here ON presence (last_active_ms) WHERE is_here;
