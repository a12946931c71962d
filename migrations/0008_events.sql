-- The feed: what happened, in one order without gaps. Rows are only added, in the transaction of the fact that they tell
-- of, and removed at the old end. `subject` is the batch, the command or the print; of a command nothing else is kept
-- here, since its own row tells.
create table events (
    seq bigint primary key not null,
    id uuid not null,
    type text not null,
    at timestamptz not null,
    actor jsonb,
    printer_id uuid,
    printer_name text,
    subject uuid,
    external_ref text,
    data jsonb
);

-- The end of the feed. Whoever appends locks it, so that no number comes to light before a smaller one.
create table events_head (
    id bigint primary key not null,
    seq bigint not null,
    event_id uuid
);
insert into events_head (id, seq) values (1, 0);

-- Whether a printer was in reach, as the feed has told it last.
alter table sightings add column reachability text;
