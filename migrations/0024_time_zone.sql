-- The time zone of the days in print_days.
create table print_day_zone (
    id bigint primary key not null check (id = 1),
    time_zone text not null,    -- IANA name
    kept_until bigint           -- last day with sums of deleted prints by days of an earlier zone
);
insert into print_day_zone (id, time_zone) values (1, 'UTC');
