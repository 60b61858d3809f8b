-- How far conductors were above their limits, and what vehicles were not allowed to take.

-- Written again while it lasts; evicted by age and by number.
CREATE TABLE excursion (
    id INTEGER PRIMARY KEY,
    circuit TEXT NOT NULL,
    phase TEXT NOT NULL,
    from_utc_ms INTEGER NOT NULL,
    to_utc_ms INTEGER NOT NULL,
    limit_ma INTEGER NOT NULL,
    protection TEXT NOT NULL,
    peak_ma INTEGER NOT NULL,
    over_ms INTEGER NOT NULL,
    excess_mas INTEGER NOT NULL,
    damage_permille INTEGER NOT NULL,
    UNIQUE (circuit, phase, from_utc_ms)
) STRICT;
CREATE INDEX excursion_by_start ON excursion (from_utc_ms);

-- Sums of one run of the daemon, so that writing one again changes nothing; a day adds its runs up.
CREATE TABLE curtailment (
    day TEXT NOT NULL,
    circuit TEXT NOT NULL,
    cause TEXT NOT NULL,
    run_utc_ms INTEGER NOT NULL,
    energy_wh INTEGER NOT NULL,
    held_ms INTEGER NOT NULL,
    PRIMARY KEY (day, circuit, cause, run_utc_ms)
) STRICT, WITHOUT ROWID;
