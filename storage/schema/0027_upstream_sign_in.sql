-- Signing in by OpenID Connect providers: who somebody is there, and who is on the way back from there.

CREATE TABLE upstream_identities (
    -- The provider's ID in the configuration, which is never to be changed.
    provider_id text COLLATE "C" NOT NULL,
    -- What the provider calls somebody, for ever.
    subject text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL REFERENCES accounts (user_id) ON DELETE CASCADE,
    created_ms bigint NOT NULL,
    PRIMARY KEY (provider_id, subject)
);

-- At one provider an account is one person.
CREATE UNIQUE INDEX upstream_identities_of_user ON upstream_identities (user_id, provider_id);

-- Browsers that were sent to a provider. A row is used up by the first answer.
CREATE TABLE upstream_attempts (
    -- SHA-256 of `state`, and of the cookie of the browser that was sent.
    state_hash bytea PRIMARY KEY,
    browser_hash bytea NOT NULL,
    provider_id text COLLATE "C" NOT NULL,
    nonce text COLLATE "C" NOT NULL,
    code_verifier text COLLATE "C" NOT NULL,
    -- Where the browser goes on; or which session of interactive authentication has its stage passed.
    continue_at text COLLATE "C" NOT NULL,
    uia_session text COLLATE "C",
    created_ms bigint NOT NULL
);

CREATE INDEX upstream_attempts_by_age ON upstream_attempts (created_ms);

-- People whom a provider knows and this server not yet, while they fill in a form; by the cookie of their browser.
CREATE TABLE upstream_newcomers (
    browser_hash bytea PRIMARY KEY,
    provider_id text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    localpart text COLLATE "C",
    display_name text COLLATE "C",
    email text COLLATE "C",
    continue_at text COLLATE "C" NOT NULL,
    created_ms bigint NOT NULL
);

CREATE INDEX upstream_newcomers_by_age ON upstream_newcomers (created_ms);
