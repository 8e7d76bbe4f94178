-- What is to be sent to other servers: who lacks what, how they do, and what is for their devices.

-- Which servers are in a room: few rooms have remote members, so this costs the others nothing.
CREATE INDEX memberships_remote ON memberships (room_nid) WHERE NOT is_local;

-- Servers that did not answer when they were last asked.
CREATE TABLE destinations (
    failing_since_ms bigint NOT NULL,
    failed_ms bigint NOT NULL,
    -- Not to be asked before.
    retry_ms bigint NOT NULL,
    interval_ms bigint NOT NULL,
    destination text COLLATE "C" PRIMARY KEY
);

-- One row: all events and device list changes up to this position were acknowledged by whom they are for, or are noted below.
CREATE TABLE sender_position (
    position bigint NOT NULL,
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only)
);

-- From which position on a server may lack events of a room. Never the events themselves.
CREATE TABLE destination_rooms (
    room_nid bigint NOT NULL,
    position bigint NOT NULL,
    destination text COLLATE "C" NOT NULL,
    PRIMARY KEY (destination, room_nid)
);

-- Of whose devices a server is to be told, and since which change.
CREATE TABLE destination_users (
    position bigint NOT NULL,
    destination text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (destination, user_id)
);

-- Messages for devices of other servers, each an EDU, until the server has acknowledged them.
CREATE TABLE remote_messages (
    position bigint NOT NULL,
    destination text COLLATE "C" NOT NULL,
    edu bytea NOT NULL,
    PRIMARY KEY (destination, position)
);
