-- What each printer printed on each day (UTC). It repeats what `prints` says, so that a year of a large farm is read at
-- once, and follows in the background: see storage/print_days.rs.
create table print_days (
    day bigint not null,            -- since 1970-01-01
    printer_id uuid not null,
    printed_s bigint not null,
    done bigint not null,
    failed bigint not null,
    cancelled bigint not null,
    unknown bigint not null,
    primary key (day, printer_id)
);

-- Whether a print that has ended is in it.
alter table prints add column counted boolean not null default false;
create index prints_uncounted on prints (id) where ended_at is not null and not counted;
