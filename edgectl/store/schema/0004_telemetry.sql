-- The last number of a block of telemetry: its rows in the outbox go with their receipt, or to make room.
INSERT INTO meta (key, value) VALUES ('telemetry_seq', '0');
