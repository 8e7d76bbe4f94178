-- OAuth 2.0: clients, codes, which device sessions a client has, and who is signed in on the web pages.

CREATE TABLE oauth_clients (
    -- A digest of the metadata: who says the same of itself is the same client.
    client_id text COLLATE "C" PRIMARY KEY,
    metadata bytea NOT NULL,
    created_ms bigint NOT NULL,
    last_used_ms bigint NOT NULL
);

CREATE INDEX oauth_clients_by_use ON oauth_clients (last_used_ms);

-- The device sessions that a client got by a grant. A client with one is never forgotten.
CREATE TABLE oauth_sessions (
    session_id bigint PRIMARY KEY REFERENCES device_sessions (session_id) ON DELETE CASCADE,
    client_id text COLLATE "C" NOT NULL REFERENCES oauth_clients (client_id),
    scope text COLLATE "C" NOT NULL
);

CREATE INDEX oauth_sessions_of_client ON oauth_sessions (client_id);

CREATE TABLE oauth_codes (
    code_hash bytea PRIMARY KEY,
    client_id text COLLATE "C" NOT NULL REFERENCES oauth_clients (client_id) ON DELETE CASCADE,
    user_id text COLLATE "C" NOT NULL REFERENCES accounts (user_id) ON DELETE CASCADE,
    device_id text COLLATE "C" NOT NULL,
    scope text COLLATE "C" NOT NULL,
    redirect_uri text COLLATE "C" NOT NULL,
    code_challenge text COLLATE "C" NOT NULL,
    created_ms bigint NOT NULL,
    -- Null: not exchanged yet. Kept after that, so that a second use ends the session of the first.
    session_id bigint
);

CREATE INDEX oauth_codes_by_age ON oauth_codes (created_ms);

-- Browsers that are signed in on the web pages of this server; they have no device.
CREATE TABLE browser_sessions (
    token_hash bytea PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL REFERENCES accounts (user_id) ON DELETE CASCADE,
    created_ms bigint NOT NULL,
    -- When the password was given last: what is hard to undo asks for it again.
    confirmed_ms bigint NOT NULL
);

CREATE INDEX browser_sessions_by_age ON browser_sessions (created_ms);
CREATE INDEX browser_sessions_of_user ON browser_sessions (user_id);
