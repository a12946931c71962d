-- What the retention tasks know of the clock: when they looked last, and for how long it had been steady. At most one row.
create table retention_clock (
    id bigint primary key not null,
    checked_at timestamptz not null,
    steady_s bigint not null
);

-- Retention goes by position. Nothing reads rows by these times any more.
drop index audit_by_time;
drop index batches_by_end;
drop index webhook_deliveries_by_time;
