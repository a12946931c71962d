-- Receivers that are told of events. `position` is the number of the event up to which their deliveries were made: it moves
-- in the transaction that makes them. `tags` is the limit of whoever made it, at that time.
create table webhooks (
    id uuid primary key not null,
    url text not null,
    description text not null,
    types jsonb not null,
    enabled boolean not null,
    ordered boolean not null,
    tags jsonb not null,
    created_by text not null,
    position bigint not null,
    disabled_reason text,
    failing_since timestamptz,
    last_success_at timestamptz,
    last_error text,
    version bigint not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

-- What signs, sealed for the id of its row. A former one signs too, until its time is over.
create table webhook_secrets (
    id uuid primary key not null,
    webhook_id uuid not null references webhooks (id) on delete cascade,
    sealed bytea not null,
    until timestamptz
);
create index webhook_secrets_by_webhook on webhook_secrets (webhook_id);

-- Their bodies are made of the events, which are kept as long. Whoever sends one sets `sending`, and `next_at` to when it counts
-- as lost.
create table webhook_deliveries (
    id uuid primary key not null,
    webhook_id uuid not null references webhooks (id) on delete cascade,
    event_seq bigint not null,
    event_id uuid not null,
    type text not null,
    state text not null,
    attempts bigint not null,
    next_at timestamptz,
    sending boolean not null,
    status bigint,
    error text,
    response text,
    latency_ms bigint,
    created_at timestamptz not null,
    finished_at timestamptz,
    unique (webhook_id, event_seq)
);
create index webhook_deliveries_by_webhook on webhook_deliveries (webhook_id, id);
create index webhook_deliveries_due on webhook_deliveries (webhook_id, next_at) where state = 'pending';
create index webhook_deliveries_in_order on webhook_deliveries (webhook_id, event_seq) where state = 'pending';
create index webhook_deliveries_by_time on webhook_deliveries (created_at);
