-- Telemetry as rows, for PostgreSQL and TimescaleDB: `psql "$EDGECTL_BACKEND_DATABASE" -f measurements.sql`, after `migrate`.
-- The backend keeps each block as the bytes that came. This view takes them apart: a row for each value that was known. It reads
-- blocks that are not packed (`pack_telemetry` is off unless the site's file says so); a packed one is passed over.
CREATE OR REPLACE VIEW measurement_row AS
SELECT block.at AS block_at,
       block.site,
       block.kind,
       block.body -> 'things' ->> (block.body -> 'thing' ->> (value.number - 1)::int)::int AS thing,
       (block.body ->> 'from')::timestamptz
           + (block.body -> 'offset_ms' ->> (value.number - 1)::int)::bigint * interval '1 millisecond' AS at,
       series.name,
       value.found::bigint AS value
FROM (
    SELECT at, site, kind, convert_from(body, 'UTF8')::jsonb AS body
    FROM telemetry
    WHERE CASE WHEN length(body) > 0 THEN get_byte(body, 0) = 123 ELSE false END -- an opening brace; a zstd frame begins with 40
) AS block,
    jsonb_each(block.body -> 'columns') AS series (name, found),
    jsonb_array_elements_text(series.found) WITH ORDINALITY AS value (found, number)
WHERE value.found IS NOT NULL;

-- A table of them, to keep for longer than the blocks. With TimescaleDB, make it a hypertable while it is empty:
--     SELECT create_hypertable('measurement', by_range('at'));
CREATE TABLE IF NOT EXISTS measurement (
    site text NOT NULL,
    kind text NOT NULL,
    thing text NOT NULL,
    name text NOT NULL,
    at timestamptz NOT NULL,
    value bigint NOT NULL,
    PRIMARY KEY (site, kind, thing, name, at)
);

-- Run it as often as you like, over as many days as a gateway may have been away; what is there already stays.
CREATE OR REPLACE FUNCTION take_measurements(since timestamptz) RETURNS bigint LANGUAGE sql AS $$
    WITH taken AS (
        INSERT INTO measurement (site, kind, thing, name, at, value)
        SELECT site, kind, thing, name, at, value FROM measurement_row WHERE block_at >= since
        ON CONFLICT DO NOTHING
        RETURNING 1
    )
    SELECT count(*) FROM taken
$$;
