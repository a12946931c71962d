-- Which rows of the audit concern which printer. It repeats what the records say, to be searched; the chain is over these.
create table audit_printers (
    printer_id uuid not null,
    seq bigint not null,
    primary key (printer_id, seq)
);
create index audit_printers_by_row on audit_printers (seq);

-- Rows up to this one are in it. It follows in the background: see storage/audit/index.rs.
create table audit_indexed (
    id bigint primary key not null,
    seq bigint not null
);
insert into audit_indexed (id, seq) values (1, 0);
