-- The batch that a print belongs to, and its reference: those of the command that started it. They are copied here, because
-- prints are kept longer than batches.
alter table prints add column batch_id uuid;
alter table prints add column external_ref text;
update prints set batch_id = (select c.batch_id from commands c where c.id = prints.started_by_command)
    where started_by_command is not null;
update prints set external_ref = (select b.external_ref from batches b where b.id = prints.batch_id)
    where batch_id is not null;
create index prints_by_batch on prints (batch_id, id) where batch_id is not null;
create index prints_by_ref on prints (external_ref, id) where external_ref is not null;
