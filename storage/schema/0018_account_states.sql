-- What an account may be beside usable, and user-interactive authentication that a browser can go on with.

ALTER TABLE accounts
    ADD COLUMN is_guest boolean NOT NULL DEFAULT false,
    -- Locked: nothing but logging out is possible, until an administrator unlocks it.
    ADD COLUMN is_locked boolean NOT NULL DEFAULT false,
    -- Suspended: may read and leave, and not send, join or invite.
    ADD COLUMN is_suspended boolean NOT NULL DEFAULT false,
    -- Null: not deactivated. There is no way back, and the user ID stays taken.
    ADD COLUMN deactivated_ms bigint;

ALTER TABLE uia_sessions
    -- Whose operation it is; null: nobody's yet, as in registration.
    ADD COLUMN user_id text COLLATE "C",
    -- The stages that the session asks for, so that a web page can offer one of them.
    ADD COLUMN stages text[] COLLATE "C" NOT NULL DEFAULT '{}',
    -- Keyed hash of what the operation is to do; null: not known yet.
    ADD COLUMN parameters_hash bytea;
