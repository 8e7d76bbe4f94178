-- The ground floor: writers, interned strings, rooms, events, state, memberships, aliases, transactions.
-- Collation C for every text key: exact, fast, and the same whatever the operating system.

-- Who may write. A lease runs out by the database's clock; taking one over raises the epoch, which fences the
-- former holder's flushes. flush_number settles whether a commit whose answer was lost took place.
CREATE TABLE writers (
    writer_id smallint PRIMARY KEY CHECK (writer_id BETWEEN 0 AND 1023),
    epoch bigint NOT NULL,
    flush_number bigint NOT NULL,
    last_position bigint NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 10);

-- Interned strings. A row without a use is harmless, so these are written outside the journal.
CREATE TABLE interned_types (
    nid integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text text COLLATE "C" NOT NULL UNIQUE
);
CREATE TABLE interned_state_keys (
    nid bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text text COLLATE "C" NOT NULL UNIQUE
);
CREATE TABLE interned_users (
    nid bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text text COLLATE "C" NOT NULL UNIQUE
);

CREATE SEQUENCE room_nids AS bigint;
CREATE TABLE rooms (
    room_nid bigint PRIMARY KEY,
    room_id text COLLATE "C" NOT NULL UNIQUE,
    version text COLLATE "C" NOT NULL,
    creator_nid bigint NOT NULL,
    created_ms bigint NOT NULL,
    is_public boolean NOT NULL DEFAULT false,
    retention_class smallint NOT NULL DEFAULT 0
);
CREATE INDEX rooms_public ON rooms (room_nid) WHERE is_public;

-- What changes with every event of a room: apart from rooms, so that the rewritten row is short.
CREATE TABLE room_tips (
    room_nid bigint PRIMARY KEY,
    extremities text[] COLLATE "C" NOT NULL,
    depth bigint NOT NULL,
    last_position bigint NOT NULL
) WITH (fillfactor = 40);

-- Class 0 keeps for ever. Below a class, a partition holds one month: positions are time.
CREATE TABLE events (
    position bigint NOT NULL,
    room_nid bigint NOT NULL,
    sender_nid bigint NOT NULL,
    state_key_nid bigint,
    depth bigint NOT NULL,
    type_nid integer NOT NULL,
    retention_class smallint NOT NULL,
    flags smallint NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    prev_events text[] COLLATE "C" NOT NULL,
    auth_events text[] COLLATE "C" NOT NULL,
    redacted_because text COLLATE "C",
    json bytea NOT NULL,
    PRIMARY KEY (room_nid, position, retention_class)
) PARTITION BY LIST (retention_class);

CREATE TABLE events_c0 PARTITION OF events FOR VALUES IN (0) PARTITION BY RANGE (position);
CREATE TABLE events_c0_default PARTITION OF events_c0 DEFAULT;
-- Backfilled events descend below zero.
CREATE TABLE events_c0_backfilled PARTITION OF events_c0 FOR VALUES FROM (MINVALUE) TO (0);

-- Uniqueness of, and look-up by, the event ID.
CREATE TABLE event_ids (
    event_id text COLLATE "C" PRIMARY KEY,
    room_nid bigint NOT NULL,
    position bigint NOT NULL,
    retention_class smallint NOT NULL
) PARTITION BY HASH (event_id);
CREATE TABLE event_ids_0 PARTITION OF event_ids FOR VALUES WITH (MODULUS 8, REMAINDER 0);
CREATE TABLE event_ids_1 PARTITION OF event_ids FOR VALUES WITH (MODULUS 8, REMAINDER 1);
CREATE TABLE event_ids_2 PARTITION OF event_ids FOR VALUES WITH (MODULUS 8, REMAINDER 2);
CREATE TABLE event_ids_3 PARTITION OF event_ids FOR VALUES WITH (MODULUS 8, REMAINDER 3);
CREATE TABLE event_ids_4 PARTITION OF event_ids FOR VALUES WITH (MODULUS 8, REMAINDER 4);
CREATE TABLE event_ids_5 PARTITION OF event_ids FOR VALUES WITH (MODULUS 8, REMAINDER 5);
CREATE TABLE event_ids_6 PARTITION OF event_ids FOR VALUES WITH (MODULUS 8, REMAINDER 6);
CREATE TABLE event_ids_7 PARTITION OF event_ids FOR VALUES WITH (MODULUS 8, REMAINDER 7);

CREATE TABLE current_state (
    room_nid bigint NOT NULL,
    state_key_nid bigint NOT NULL,
    position bigint NOT NULL,
    type_nid integer NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (room_nid, type_nid, state_key_nid)
);

-- Every change of a room's state, so that the state at any position can be read.
CREATE TABLE state_changes (
    room_nid bigint NOT NULL,
    state_key_nid bigint NOT NULL,
    position bigint NOT NULL,
    type_nid integer NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    replaced_event_id text COLLATE "C",
    PRIMARY KEY (room_nid, type_nid, state_key_nid, position)
);
CREATE INDEX state_changes_in_order ON state_changes (room_nid, position);

CREATE TABLE memberships (
    room_nid bigint NOT NULL,
    user_nid bigint NOT NULL,
    position bigint NOT NULL,
    is_local boolean NOT NULL,
    is_forgotten boolean NOT NULL DEFAULT false,
    membership text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (room_nid, user_nid)
);
CREATE INDEX memberships_of_user ON memberships (user_nid, room_nid);

CREATE TABLE aliases (
    alias text COLLATE "C" PRIMARY KEY,
    room_nid bigint NOT NULL,
    creator_nid bigint NOT NULL,
    created_ms bigint NOT NULL
);
CREATE INDEX aliases_of_room ON aliases (room_nid);

-- Clients' transaction IDs, committed with the event that they made, so that a retry is safe.
CREATE TABLE transactions (
    session_id bigint NOT NULL,
    position bigint NOT NULL,
    key text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (session_id, key)
);
CREATE INDEX transactions_by_age ON transactions USING brin (position) WITH (autosummarize = off);
