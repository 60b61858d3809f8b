-- How the reservation behind a record ended: 'used' by its session, or in any other way by a record that has no session.
ALTER TABLE session ADD COLUMN reservation text;
