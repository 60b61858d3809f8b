-- Reservations that chargers hold. A row goes, in the same commit, when a session has used it or a record of its own is made.
CREATE TABLE reservation (
    charger TEXT NOT NULL,
    reservation_number INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (charger, reservation_number)
) STRICT, WITHOUT ROWID;
