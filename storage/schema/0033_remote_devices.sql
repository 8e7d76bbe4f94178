-- The devices of users of other servers, as those servers told of them. Only of users who share a room with one of
-- ours, since only of those their servers tell what changes; the rest is forgotten.
CREATE TABLE remote_device_lists (
    -- Of the last update that is in here, as the user's server counts; -1: nothing was read yet.
    stream_id bigint NOT NULL DEFAULT -1,
    -- Of a stale list: not to be read again before.
    retry_ms bigint NOT NULL DEFAULT 0,
    -- How often that failed in a row.
    failures integer NOT NULL DEFAULT 0,
    -- More has changed than is known: the user's server is to be asked.
    is_stale boolean NOT NULL,
    user_id text COLLATE "C" PRIMARY KEY,
    -- JSON objects.
    master_key bytea,
    self_signing_key bytea
) WITH (fillfactor = 80);
CREATE INDEX remote_device_lists_stale ON remote_device_lists (retry_ms) WHERE is_stale;

CREATE TABLE remote_devices (
    user_id text COLLATE "C" NOT NULL REFERENCES remote_device_lists (user_id) ON DELETE CASCADE,
    device_id text COLLATE "C" NOT NULL,
    display_name text COLLATE "C",
    -- JSON object; none: the device has no keys.
    keys bytea,
    PRIMARY KEY (user_id, device_id)
);
