-- What is to be sent to other servers: how they do, what they lack, and what is for their devices.

-- Which servers are in a room: few rooms have remote members, so this costs the others nothing.
CREATE INDEX memberships_remote ON memberships (room_nid) WHERE NOT is_local;
