-- A sealed record that was wrong is credited by one record and replaced by another: which of the two this is, and of which record.
ALTER TABLE session ADD COLUMN correction text, ADD COLUMN corrects text;
