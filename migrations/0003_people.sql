-- People, their sessions, and what was changed by whom.

create table users (
    id uuid primary key not null,
    name text not null,
    name_key text not null unique,  -- in lower case: "Ann" and "ann" are one
    password_hash text,
    role text not null,
    tags jsonb not null,
    enabled boolean not null,
    version bigint not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    last_login_at timestamptz
);

-- A session has no rights of its own: they are those that its user or its token has at the moment.
drop table sessions;
create table sessions (
    id uuid primary key not null,
    hash bytea not null unique,
    user_id uuid references users (id) on delete cascade,
    token_id uuid,
    admin_hash bytea,               -- of the server's own admin token, where it was opened with that
    created_at timestamptz not null,
    last_seen_at timestamptz not null,
    expires_at timestamptz not null,
    address text,
    agent text not null
);
create index sessions_by_user on sessions (user_id);
create index sessions_by_token on sessions (token_id);
create index sessions_by_end on sessions (expires_at);

-- The link that makes the first admin. At most one.
create table setup_links (
    hash bytea primary key not null,
    expires_at timestamptz not null
);

-- `record` is what was written down, word for word; the other columns repeat parts of it, to be searched. Each hash is of
-- the hash before and the record. `audit_head` has the end of the chain, and where it begins since old rows were removed.
create table audit (
    seq bigint primary key not null,
    at timestamptz not null,
    actor text not null,
    action text not null,
    record text not null,
    hash text not null
);
create index audit_by_time on audit (at);
create table audit_head (
    id bigint primary key not null,
    seq bigint not null,
    hash text not null,
    base_seq bigint not null,
    base_hash text not null
);
insert into audit_head (id, seq, hash, base_seq, base_hash) values (1, 0, '', 0, '');

-- The token in whose place this one came: both work until the older one expires.
alter table tokens add column rotated_from uuid;
