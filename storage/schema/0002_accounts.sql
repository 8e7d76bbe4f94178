-- Accounts of this server, their devices, sessions, tokens, profiles and filters.
-- User IDs are text here and not interned: these tables hold local users only and never grow with history.

CREATE TABLE accounts (
    user_id text COLLATE "C" PRIMARY KEY,
    -- Null: the account has no password and cannot log in with one.
    password_hash text,
    is_admin boolean NOT NULL DEFAULT false,
    user_type text COLLATE "C",
    created_ms bigint NOT NULL
);

CREATE TABLE devices (
    user_id text COLLATE "C" NOT NULL REFERENCES accounts (user_id) ON DELETE CASCADE,
    device_id text COLLATE "C" NOT NULL,
    display_name text,
    created_ms bigint NOT NULL,
    PRIMARY KEY (user_id, device_id)
);

-- One login. Access tokens name it by number; deleting the row revokes all of them at once.
CREATE TABLE device_sessions (
    session_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    -- Each refresh makes a generation of tokens; using one revokes all generations before it.
    generation_min integer NOT NULL DEFAULT 0,
    generation_last integer NOT NULL DEFAULT 0,
    created_ms bigint NOT NULL,
    UNIQUE (user_id, device_id),
    FOREIGN KEY (user_id, device_id) REFERENCES devices (user_id, device_id) ON DELETE CASCADE
);

CREATE TABLE refresh_tokens (
    -- SHA-256 of the token; the token itself is only in the client's hands.
    token_hash bytea PRIMARY KEY,
    session_id bigint NOT NULL REFERENCES device_sessions (session_id) ON DELETE CASCADE,
    generation integer NOT NULL
);

CREATE INDEX refresh_tokens_of_session ON refresh_tokens (session_id, generation);

CREATE TABLE profiles (
    user_id text COLLATE "C" PRIMARY KEY REFERENCES accounts (user_id) ON DELETE CASCADE,
    displayname text,
    avatar_url text,
    -- JSON object of all further fields.
    custom_fields bytea NOT NULL DEFAULT '\x7b7d'
);

-- User-interactive authentication under way, and the nonces of shared-secret registration.
CREATE TABLE uia_sessions (
    session_id text COLLATE "C" PRIMARY KEY,
    -- What is being authenticated, with its user and object: a session is good for nothing else.
    operation text COLLATE "C" NOT NULL,
    -- JSON object: stage that was passed, and with what.
    completed bytea NOT NULL DEFAULT '\x7b7d',
    created_ms bigint NOT NULL
);

CREATE INDEX uia_sessions_by_age ON uia_sessions (created_ms);

CREATE TABLE registration_tokens (
    token text COLLATE "C" PRIMARY KEY,
    -- Null: any number of accounts.
    uses_max integer,
    uses integer NOT NULL DEFAULT 0,
    -- Null: good for ever.
    expires_ms bigint,
    created_ms bigint NOT NULL
);

CREATE TABLE filters (
    filter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL REFERENCES accounts (user_id) ON DELETE CASCADE,
    content_hash bytea NOT NULL,
    content bytea NOT NULL,
    UNIQUE (user_id, content_hash)
);
