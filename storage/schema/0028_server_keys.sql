-- The signing keys of other servers. A row stays when its server publishes the key no more: old events are signed with it.

CREATE TABLE server_keys (
    server_name text COLLATE "C" NOT NULL,
    -- E.g. ed25519:a_AbCd.
    key_id text COLLATE "C" NOT NULL,
    public_key bytea NOT NULL,
    -- What was signed later is not valid. Of an old key: when the server ceased to sign with it.
    valid_until_ms bigint NOT NULL,
    is_old boolean NOT NULL,
    PRIMARY KEY (server_name, key_id)
);

-- What a server answered last, as it signed it: handed on to those who ask us for its keys.
CREATE TABLE server_key_answers (
    server_name text COLLATE "C" PRIMARY KEY,
    answer bytea NOT NULL,
    fetched_ms bigint NOT NULL
);
