-- Users whose messages nobody sees who was not in the room when they were sent.
CREATE TABLE erased_users (
    user_id text COLLATE "C" PRIMARY KEY,
    erased_ms bigint NOT NULL
);
