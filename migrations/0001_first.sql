-- One text for SQLite and PostgreSQL. Types: uuid, text, bigint, boolean, double precision, bytea, jsonb, timestamptz.
-- jsonb holds objects and arrays only. Times come from the program's clock, never from the database.

create table printers (
    id uuid primary key not null,
    name text not null unique,
    url text not null unique,
    api_key bytea,              -- sealed
    enabled boolean not null,
    model text,
    material text,
    color text,
    nozzle_mm double precision,
    bed_mm jsonb,
    power_group text,
    notes text not null,
    version bigint not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table printer_tags (
    printer_id uuid not null references printers (id) on delete cascade,
    tag text not null,
    primary key (printer_id, tag)
);
create index printer_tags_by_tag on printer_tags (tag);

-- What is seen of printers has no foreign key: a group of sightings must not fail because one printer was removed
-- meanwhile. Removal deletes these rows itself.
create table sightings (
    printer_id uuid primary key not null,
    state text not null,
    mark jsonb not null,
    observed_at timestamptz not null,
    octoprint_version text
);

create table plates (
    printer_id uuid primary key not null,
    state text not null,
    print_id uuid,
    since timestamptz,
    cleared_by text
);

-- Prints outlive their printers.
create table prints (
    id uuid primary key not null,
    printer_id uuid not null,
    file_path text,
    file_origin text,
    started_at timestamptz not null,
    ended_at timestamptz,
    result text,
    reason text,
    started_by_kind text not null,
    started_by_command uuid,
    paused_by_kind text,
    paused_by_command uuid
);
create index prints_by_printer on prints (printer_id, id);
create index prints_open on prints (id) where ended_at is null;

-- `command`, `external_ref` and `due_at` repeat what stands in `spec`, to be searched.
create table batches (
    id uuid primary key not null,
    command text not null,
    external_ref text,
    due_at timestamptz not null,
    spec jsonb not null,
    state text not null,
    created_at timestamptz not null,
    finished_at timestamptz,
    created_by text not null,
    retry_of uuid
);
create index batches_by_ref on batches (external_ref, id);
create index batches_by_end on batches (finished_at);

-- The ledger. A row is open while its outcome is queued, sent or accepted.
create table commands (
    id uuid primary key not null,
    batch_id uuid not null references batches (id) on delete cascade,
    position bigint not null,
    printer_id uuid not null,
    printer_name text not null,
    command text not null,
    resolved_command text,
    expected_job jsonb,
    outcome text not null,
    reason text,
    detail text,
    step text,
    print_id uuid,
    file_path text,
    state_before text,
    state_after text,
    attempts bigint not null,
    released_at timestamptz,
    expires_at timestamptz,
    sent_at timestamptz,
    accepted_at timestamptz,
    finished_at timestamptz,
    settled_effect text,
    settled_state text,
    settled_at timestamptz,
    unique (batch_id, position)
);
create index commands_by_outcome on commands (batch_id, outcome, position);
create index commands_open on commands (printer_id, id) where outcome in ('queued', 'sent', 'accepted');
create index commands_unsettled on commands (finished_at)
    where outcome in ('unconfirmed', 'unknown') and settled_at is null;

create table tokens (
    id uuid primary key not null,
    name text not null,
    hash bytea not null unique,
    role text not null,
    tags jsonb not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);

create table sessions (
    hash bytea primary key not null,
    token_id uuid,
    name text not null,
    role text not null,
    tags jsonb not null,
    created_at timestamptz not null,
    expires_at timestamptz not null
);
create index sessions_by_token on sessions (token_id);
create index sessions_by_end on sessions (expires_at);
