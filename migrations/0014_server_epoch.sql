-- The one server that sends to the farm's printers. Each take-over increments `epoch`; `released_at` is set when the holder
-- ended in good order, and null while it runs or after it died.
create table server_epoch (
    id bigint primary key not null,
    epoch bigint not null,
    host text not null,
    pid bigint not null,
    since timestamptz,
    released_at timestamptz
);
insert into server_epoch (id, epoch, host, pid) values (1, 0, '', 0);
