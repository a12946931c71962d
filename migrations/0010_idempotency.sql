-- Keys of requests that may be repeated: bound, in the transaction of the effect, to what came of it.
create table idempotency_keys (
    scope uuid not null,            -- the line of tokens that the key belongs to; nil: the server's own token
    key text not null,
    use_id uuid not null,           -- the request that bound it
    fingerprint bytea not null,
    created_at timestamptz not null,
    location text,                  -- what it made or changed
    status bigint,                  -- null: the answer was not delivered
    body text,                      -- the answer, where nothing can be read again at `location`
    primary key (scope, key)
);
create index idempotency_keys_by_time on idempotency_keys (created_at);

-- The first of the tokens that each came in the place of.
alter table tokens add column line uuid;
-- Whether its holder must send a key with every request that has an effect.
alter table tokens add column requires_key boolean not null default false;
