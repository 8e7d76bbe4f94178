-- The device authorization grant: a client that has no browser waits until somebody types its code into one.

CREATE TABLE oauth_device_grants (
    device_code_hash bytea PRIMARY KEY,
    -- What people type, without the dash. Short, so it is of use for minutes only, to who is signed in.
    user_code text COLLATE "C" NOT NULL UNIQUE,
    client_id text COLLATE "C" NOT NULL REFERENCES oauth_clients (client_id) ON DELETE CASCADE,
    scope text COLLATE "C" NOT NULL,
    created_ms bigint NOT NULL,
    -- When the client asked last, and how long it has to wait until it asks again.
    polled_ms bigint NOT NULL,
    interval_ms bigint NOT NULL,
    -- Who has decided; null: nobody yet.
    user_id text COLLATE "C" REFERENCES accounts (user_id) ON DELETE CASCADE,
    is_allowed boolean NOT NULL DEFAULT false,
    -- Null: not exchanged yet.
    session_id bigint
);

CREATE INDEX oauth_device_grants_by_age ON oauth_device_grants (created_ms);
CREATE INDEX oauth_device_grants_of_client ON oauth_device_grants (client_id);
CREATE INDEX oauth_codes_of_client ON oauth_codes (client_id);
