-- Which threads users follow. Who unsubscribed keeps the row: so that every client gets to know, and no late automatic
-- subscription undoes it. Of local users only, and a change replaces its row: this does not grow with history.
CREATE TABLE thread_subscriptions (
    -- Of the last change.
    position bigint NOT NULL,
    -- Where the room's timeline ended when the user unsubscribed last: position and depth of its last event then.
    unsubscribed_position bigint,
    unsubscribed_depth bigint,
    user_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    root_id text COLLATE "C" NOT NULL,
    is_subscribed boolean NOT NULL,
    is_automatic boolean NOT NULL,
    PRIMARY KEY (user_id, room_id, root_id)
);
CREATE INDEX thread_subscriptions_by_position ON thread_subscriptions (user_id, position);
