-- Plain names for what earlier migrations created. No data changes.

-- The last observation of each printer.
alter table sightings rename to printer_observations;
-- What was observed of its job: `JobMark` in the code.
alter table printer_observations rename column mark to job_mark;

-- The first token in the chain of rotations. Null for tokens that are older than the column: they are the first themselves.
alter table tokens rename column line to root_id;
