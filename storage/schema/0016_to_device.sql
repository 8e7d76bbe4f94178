-- Messages that wait for devices, until each has said that it got them. The positions are time: a month a partition.
-- One that is sent to many devices has the same position for each.
CREATE TABLE to_device (
    position bigint NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    -- The event as the device is shown it, JSON.
    message bytea NOT NULL,
    PRIMARY KEY (user_id, device_id, position)
) PARTITION BY RANGE (position);
CREATE TABLE to_device_default PARTITION OF to_device DEFAULT;

-- What devices have sent, so that a repetition is not sent again.
CREATE TABLE to_device_transactions (
    position bigint NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, device_id, transaction_id, event_type)
);
CREATE INDEX to_device_transactions_by_age ON to_device_transactions USING brin (position)
    WITH (autosummarize = off);

-- Devices that nobody is logged in on: they take messages for users who have no other device, at most one a user.
CREATE TABLE dehydrated_devices (
    user_id text COLLATE "C" PRIMARY KEY,
    device_id text COLLATE "C" NOT NULL,
    -- JSON object, encrypted by the client.
    device_data bytea NOT NULL,
    FOREIGN KEY (user_id, device_id) REFERENCES devices (user_id, device_id) ON DELETE CASCADE
);
