-- Backups of the keys of encrypted rooms. The server cannot read what is in them.

CREATE TABLE key_backups (
    user_id text COLLATE "C" NOT NULL REFERENCES accounts (user_id) ON DELETE CASCADE,
    version bigint NOT NULL,
    -- Grows with every change of the keys.
    etag bigint NOT NULL DEFAULT 0,
    key_count bigint NOT NULL DEFAULT 0,
    -- No client sees it any more; the row stays until its keys are deleted.
    is_deleted boolean NOT NULL DEFAULT false,
    algorithm text COLLATE "C" NOT NULL,
    -- JSON object.
    auth_data bytea NOT NULL,
    PRIMARY KEY (user_id, version)
);

CREATE INDEX key_backups_deleted ON key_backups (user_id) WHERE is_deleted;

-- No version is given twice, though those that were deleted leave no row.
CREATE TABLE key_backup_versions (
    user_id text COLLATE "C" PRIMARY KEY REFERENCES accounts (user_id) ON DELETE CASCADE,
    last_version bigint NOT NULL
);

-- Without a foreign key to the backup: looking at it for each of thousands of keys costs more than the rest.
CREATE TABLE backed_up_keys (
    version bigint NOT NULL,
    first_message_index bigint NOT NULL,
    forwarded_count bigint NOT NULL,
    is_verified boolean NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    -- JSON object.
    session_data bytea NOT NULL,
    PRIMARY KEY (user_id, version, room_id, session_id)
);
