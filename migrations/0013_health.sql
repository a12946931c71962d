-- Written every few seconds by the running server: readiness reports the age of the last write.
create table health (
    id bigint primary key not null,
    written_at timestamptz
);
insert into health (id) values (1);

-- Refusals are no longer kept for idempotency keys.
delete from idempotency_keys where status >= 400;
