-- Devices have numbers, by which messages wait for them: a key of texts was a quarter of what an insertion costs.
ALTER TABLE devices ADD COLUMN nid bigint GENERATED ALWAYS AS IDENTITY;

-- What replaces to_device. That is read until what waits in it was fetched or has expired; nothing is added to it, and
-- a later file drops it. The positions are time: a month a partition. No number is used twice, so no row is ever shown
-- to a later device of the same ID.
CREATE TABLE device_inboxes (
    position bigint NOT NULL,
    device_nid bigint NOT NULL,
    -- The event as the device is shown it, JSON.
    message bytea NOT NULL,
    PRIMARY KEY (device_nid, position)
) PARTITION BY RANGE (position);
CREATE TABLE device_inboxes_default PARTITION OF device_inboxes DEFAULT;
