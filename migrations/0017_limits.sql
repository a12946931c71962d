-- Bytes of the answers that are kept for repeated requests, bounded for each scope. An answer that was dropped for it is gone.
alter table idempotency_keys add column body_bytes bigint;
alter table idempotency_keys add column body_gone boolean not null default false;
update idempotency_keys set body_bytes = length(body) where body is not null;
create index idempotency_keys_by_body on idempotency_keys (scope, created_at, body_bytes) where body_bytes is not null;
