-- Finding rooms, and reporting: how many are in each room, walks over spaces that will go on, and reports for the admins.

-- Kept by the writes of member events, so that the room directory need not count members.
CREATE TABLE room_counts (
    room_nid bigint PRIMARY KEY,
    joined integer NOT NULL,
    joined_local integer NOT NULL
) WITH (fillfactor = 40);
INSERT INTO room_counts (room_nid, joined, joined_local)
    SELECT room_nid, count(*), count(*) FILTER (WHERE is_local)
    FROM memberships WHERE membership = 'join' GROUP BY room_nid;

-- Where the pages of a space's hierarchy go on. A few for each user, and none for long.
CREATE TABLE hierarchy_walks (
    user_nid bigint NOT NULL,
    created_ms bigint NOT NULL,
    token text COLLATE "C" NOT NULL,
    walk bytea NOT NULL,
    PRIMARY KEY (user_nid, token)
);
CREATE INDEX hierarchy_walks_by_age ON hierarchy_walks (created_ms);

-- What users report. The target is the sender of a reported event, or the reported user.
CREATE TABLE reports (
    report_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_ms bigint NOT NULL,
    reporter_nid bigint NOT NULL,
    target_nid bigint,
    room_nid bigint,
    score integer,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('event', 'room', 'user')),
    event_id text COLLATE "C",
    reason text COLLATE "C"
);
CREATE INDEX reports_in_order ON reports (kind, received_ms, report_id);
CREATE INDEX reports_of_reporter ON reports (reporter_nid);
