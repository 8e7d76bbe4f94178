-- The public keys of devices and users, and whose list of devices has changed. Of local users only; what is
-- replaced, claimed or deleted leaves nothing behind, so these do not grow with history.

-- Identity keys, as the device uploaded them: the JSON object in its canonical form.
CREATE TABLE device_keys (
    user_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    keys bytea NOT NULL,
    PRIMARY KEY (user_id, device_id),
    FOREIGN KEY (user_id, device_id) REFERENCES devices (user_id, device_id) ON DELETE CASCADE
);

-- Each is handed out once, those first that were uploaded first.
CREATE TABLE one_time_keys (
    number bigint GENERATED ALWAYS AS IDENTITY,
    user_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    algorithm text COLLATE "C" NOT NULL,
    key_id text COLLATE "C" NOT NULL,
    -- Canonical JSON: an object, or a string.
    key bytea NOT NULL,
    PRIMARY KEY (user_id, device_id, algorithm, key_id),
    FOREIGN KEY (user_id, device_id) REFERENCES devices (user_id, device_id) ON DELETE CASCADE
);
CREATE INDEX one_time_keys_in_order ON one_time_keys (user_id, device_id, algorithm, number);

-- Handed out when there is no one-time key left, as often as it takes.
CREATE TABLE fallback_keys (
    is_used boolean NOT NULL DEFAULT false,
    user_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    algorithm text COLLATE "C" NOT NULL,
    key_id text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    PRIMARY KEY (user_id, device_id, algorithm),
    FOREIGN KEY (user_id, device_id) REFERENCES devices (user_id, device_id) ON DELETE CASCADE
);

CREATE TABLE cross_signing_keys (
    user_id text COLLATE "C" NOT NULL REFERENCES accounts (user_id) ON DELETE CASCADE,
    -- `master`, `self_signing` or `user_signing`.
    usage text COLLATE "C" NOT NULL,
    -- In unpadded base64.
    public_key text COLLATE "C" NOT NULL,
    -- The object as it was uploaded, canonical JSON.
    key bytea NOT NULL,
    PRIMARY KEY (user_id, usage)
);

-- What users signed beyond what was uploaded with the keys.
CREATE TABLE key_signatures (
    -- Whose key is signed, and which: a device ID, or the public key of a cross-signing key.
    user_id text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL,
    signer_id text COLLATE "C" NOT NULL,
    -- `ed25519:` with the device ID or public key of the signer.
    signer_key_id text COLLATE "C" NOT NULL,
    signature text COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, target, signer_id, signer_key_id)
);
CREATE INDEX key_signatures_by_signer ON key_signatures (signer_id, signer_key_id);

-- Who is to be told anew of whose devices and keys: a row for each user, and where only one user is told, for both.
CREATE TABLE device_list_changes (
    -- Of the last change.
    position bigint NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    -- Empty: the user, and all who share a room with the user.
    told_to text COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, told_to)
);
CREATE INDEX device_list_changes_in_order ON device_list_changes (position);

-- Changes that are committed with what changed, and leave for the stream right after; those that a crash left
-- behind are told at the next start.
CREATE TABLE device_list_outbox (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL,
    told_to text COLLATE "C" NOT NULL
);
