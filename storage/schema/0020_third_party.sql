-- E-mail addresses and phone numbers: of accounts, on the way to be shown to be somebody's, and bound elsewhere.

CREATE TABLE account_threepids (
    -- `email` or `msisdn`.
    medium text COLLATE "C" NOT NULL,
    -- In its one canonical form.
    address text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL REFERENCES accounts (user_id) ON DELETE CASCADE,
    validated_ms bigint NOT NULL,
    added_ms bigint NOT NULL,
    PRIMARY KEY (medium, address)
);

CREATE INDEX account_threepids_of_user ON account_threepids (user_id);

CREATE TABLE validation_sessions (
    sid text COLLATE "C" PRIMARY KEY,
    -- `register`, `reset` or `add`: a session is good for nothing else.
    purpose text COLLATE "C" NOT NULL,
    medium text COLLATE "C" NOT NULL,
    address text COLLATE "C" NOT NULL,
    client_secret text COLLATE "C" NOT NULL,
    -- SHA-256 of what was sent to the address.
    token_hash bytea NOT NULL,
    send_attempt bigint NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    next_link text,
    created_ms bigint NOT NULL,
    -- Null: not shown yet.
    validated_ms bigint,
    UNIQUE (purpose, medium, address, client_secret)
);

CREATE INDEX validation_sessions_by_age ON validation_sessions (created_ms);

-- Which identity servers tell others of an address.
CREATE TABLE identity_bindings (
    user_id text COLLATE "C" NOT NULL REFERENCES accounts (user_id) ON DELETE CASCADE,
    medium text COLLATE "C" NOT NULL,
    address text COLLATE "C" NOT NULL,
    id_server text COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, medium, address, id_server)
);
