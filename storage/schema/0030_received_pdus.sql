-- What other servers have sent, was acknowledged, and has no place in its room yet. Each row goes as soon as it has one.
CREATE TABLE received_pdus (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_ms bigint NOT NULL,
    -- Not to be tried before.
    retry_ms bigint NOT NULL,
    attempts integer NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    origin text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    -- JSON, as it came.
    pdu bytea NOT NULL
);
CREATE INDEX received_pdus_in_room ON received_pdus (room_id, number);
CREATE INDEX received_pdus_due ON received_pdus (retry_ms);

-- Messages to devices that came from other servers, so that a repetition is not delivered again.
CREATE TABLE received_messages (
    position bigint NOT NULL,
    origin text COLLATE "C" NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (origin, message_id)
);
CREATE INDEX received_messages_by_age ON received_messages USING brin (position) WITH (autosummarize = off);
