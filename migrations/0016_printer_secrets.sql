-- What a web server before OctoPrint asks for. Certificates are public.
alter table printers add column proxy_user text;
alter table printers add column header_names jsonb;
alter table printers add column ca_certificate text;

-- Secrets of printers beside their API keys: proxy_password, headers (a JSON object), camera_url. Each is sealed for the id of
-- its row.
create table printer_secrets (
    id uuid primary key not null,
    printer_id uuid not null references printers (id) on delete cascade,
    kind text not null,
    sealed bytea not null,
    unique (printer_id, kind)
);
