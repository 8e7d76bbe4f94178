-- What users of ours were told of rooms that are not here, with an invitation or when they knocked: the stripped
-- state, as a JSON array. The last time counts.
CREATE TABLE remote_offers (
    room_nid bigint NOT NULL,
    user_nid bigint NOT NULL,
    -- Of the member event.
    position bigint NOT NULL,
    stripped bytea NOT NULL,
    PRIMARY KEY (room_nid, user_nid)
);
