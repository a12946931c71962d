-- Parts, orders, and the copies of orders.

-- Item numbers of an ERP, each with the files that make it.
create table parts (
    number text primary key not null,
    revision text not null,
    title text not null,
    requirements jsonb not null,
    judgement text not null,
    files jsonb not null,
    search_key text not null,           -- number and title in lower case, to be searched
    version bigint not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

-- The library files that parts name.
create table part_files (
    number text not null references parts (number) on delete cascade,
    file_id uuid not null,
    primary key (number, file_id)
);
create index part_files_by_file on part_files (file_id);

-- Quantities are not stored: they are the sums of copies and adjustments. Neither are the states that follow from them.
create table orders (
    id uuid primary key not null,
    source text not null,
    external_ref text,
    line text not null,
    fingerprint bytea not null,         -- the first request with the business key
    part text,
    part_revision text,
    files jsonb not null,               -- with the contents that the files had when the order was made
    title text not null,
    quantity bigint not null,
    requirements jsonb not null,
    priority bigint not null,
    not_before timestamptz,
    due_at timestamptz,
    max_printers bigint,
    max_surplus bigint,
    on_failure jsonb not null,
    judgement text not null,
    metadata jsonb not null,
    hold text,                          -- why the order is on hold
    ended_as text,                      -- completed, short_closed or cancelled; null: the order is open
    running text,                       -- finish or cancel: what happens to the copies that ran at its end
    tag_limit jsonb not null,           -- of the client that made the order
    version bigint not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    started_at timestamptz,
    completed_at timestamptz,
    attempts_since timestamptz,         -- copies that ended before do not count as attempts
    created_by text not null
);
create unique index orders_by_key on orders (source, external_ref, line) where external_ref is not null;
create index orders_by_ref on orders (external_ref, id) where external_ref is not null;
create index orders_open on orders (id) where ended_as is null;
create index orders_by_update on orders (updated_at, id);

-- The tag limit of an order, to be searched.
create table order_tags (
    order_id uuid not null references orders (id) on delete cascade,
    tag text not null,
    primary key (order_id, tag)
);

-- The contents that orders name.
create table order_contents (
    order_id uuid not null references orders (id) on delete cascade,
    sha256 text not null,
    file_id uuid not null,
    primary key (order_id, sha256, file_id)
);
create index order_contents_by_content on order_contents (sha256);
create index order_contents_by_file on order_contents (file_id);

-- One plate of an order on one printer. Copies outlive their printers and their commands.
create table copies (
    id uuid primary key not null,
    order_id uuid not null references orders (id) on delete cascade,
    part text,
    replaces uuid,
    attempt bigint not null,
    state text not null,
    printer_id uuid not null,
    file_id uuid not null,
    sha256 text not null,
    command_id uuid not null,
    batch_id uuid not null,
    print_id uuid,
    parts bigint not null,
    assigned_at timestamptz not null,
    started_at timestamptz,
    finished_at timestamptz,
    result jsonb,
    quality text not null,
    good bigint not null,
    scrap bigint not null,
    reason text,
    why jsonb not null
);
create unique index copies_active on copies (printer_id) where state in ('assigned', 'uploading', 'starting', 'printing');
create index copies_by_order on copies (order_id, id);
create index copies_by_printer on copies (printer_id, id);
create index copies_by_print on copies (print_id) where print_id is not null;
create index copies_by_command on copies (command_id);
create index copies_replacing on copies (replaces) where replaces is not null;

-- Parts that were counted by hand.
create table order_adjustments (
    id uuid primary key not null,
    order_id uuid not null references orders (id) on delete cascade,
    good bigint not null,
    scrap bigint not null,
    reason text not null,
    created_by text not null,
    created_at timestamptz not null
);
create index order_adjustments_by_order on order_adjustments (order_id);

-- What created a batch: client or planner. It repeats what `spec` contains, to be searched.
alter table batches add column origin text not null default 'client';

-- What the planner knows of printers.
alter table printers add column auto_since timestamptz;     -- when the printer was opted in; null: the planner starts nothing on it
alter table printers add column other_tools jsonb;          -- tools beside tool 0; null: none
alter table printers add column attention text;             -- why a person must look at the printer
alter table printers add column attention_since timestamptz;
