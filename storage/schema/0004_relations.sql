-- Events that point at others (content → m.relates_to): one row for each relating event, none for the rest.
-- The row goes when its event is redacted, since that takes the relationship away.
CREATE TABLE relations (
    room_nid bigint NOT NULL,
    -- Of the relating event.
    position bigint NOT NULL,
    sender_nid bigint NOT NULL,
    origin_server_ts bigint NOT NULL,
    type_nid integer NOT NULL,
    -- It has what an edit needs beside the right sender and type: no state key, and new content.
    is_replacement boolean NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    -- The event that it points at, which need not be known, nor be in this room.
    parent_id text COLLATE "C" NOT NULL,
    rel_type text COLLATE "C" NOT NULL,
    PRIMARY KEY (room_nid, position)
);
-- With the sender, so that counting a thread and looking for its readers' own replies reads no row.
CREATE INDEX relations_of_parent ON relations (room_nid, parent_id, rel_type, position) INCLUDE (sender_nid);
-- The threads of a room, by their latest event.
CREATE INDEX relations_threads ON relations (room_nid, position) INCLUDE (parent_id, sender_nid)
    WHERE rel_type = 'm.thread';
