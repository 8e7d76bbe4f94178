-- Tokens that are good for one thing and not for long; when sessions were last used; accounts on their way out.

CREATE TABLE short_lived_tokens (
    -- SHA-256 of the token; the token itself is only in the client's hands.
    token_hash bytea PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL REFERENCES accounts (user_id) ON DELETE CASCADE,
    -- What it is good for: `login` (once), or `openid` (to show another service who one is).
    purpose text COLLATE "C" NOT NULL,
    expires_ms bigint NOT NULL
);

CREATE INDEX short_lived_tokens_of_user ON short_lived_tokens (user_id);
CREATE INDEX short_lived_tokens_by_end ON short_lived_tokens (expires_ms);

ALTER TABLE device_sessions
    ADD COLUMN seen_ms bigint,
    ADD COLUMN seen_address text,
    ADD COLUMN seen_agent text;

-- Deactivated, and perhaps still in some rooms.
ALTER TABLE accounts ADD COLUMN is_departing boolean NOT NULL DEFAULT false;
CREATE INDEX departing_accounts ON accounts (user_id) WHERE is_departing;
