-- The library of G-code files, and where their contents lie on printers.

-- Contents, addressed by the SHA-256 of their bytes. The bytes are in the data folder: `files/<sha256>`.
create table contents (
    sha256 text primary key not null,   -- 64 hexadecimal digits
    size bigint not null,               -- bytes
    format text not null,
    print_size bigint not null,         -- bytes of the text that printers get
    print_sha1 text not null,           -- SHA-1 of that text, as OctoPrint 1.11 reports it
    analysis text not null,
    facts jsonb not null,               -- what the file says about itself
    slicer_key text,                    -- name of the slicer in lower case, to be searched
    extrusion bytea,                    -- filament by file position: 32-bit floats, little endian
    created_at timestamptz not null     -- the last upload
);

-- Pictures in the contents, encoded by the server.
create table thumbnails (
    sha256 text not null references contents (sha256) on delete cascade,
    width bigint not null,
    height bigint not null,
    png bytea not null,
    primary key (sha256, width, height)
);

-- Names for contents.
create table files (
    id uuid primary key not null,
    name text not null,
    folder text not null,               -- parts are separated by "/"; empty: the top folder
    sha256 text not null references contents (sha256),
    overrides jsonb not null,           -- corrections of the facts
    search_key text not null,           -- folder and name in lower case, to be searched
    model_key text,                     -- model of the printer in lower case, to be searched
    version bigint not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    created_by text not null,
    unique (folder, name)
);
create index files_by_content on files (sha256);

-- Contents that Printyard sends to printers or has sent. A printer has a content at most once. The rows have no foreign
-- keys: a file stays on its printer after the content or the printer has left Printyard.
create table printer_contents (
    printer_id uuid not null,
    sha256 text not null,
    name text not null,                 -- name of the file on the printer
    print_size bigint not null,
    path text,                          -- null until the printer has the file
    state text not null,
    select_after boolean not null,      -- select the file when the printer has it
    requested_by text,                  -- who asked for the transfer, if no command needs it
    detail text,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    used_at timestamptz not null,       -- when a command last needed it
    primary key (printer_id, sha256)
);
create index printer_contents_by_content on printer_contents (sha256);
create index printer_contents_wanted on printer_contents (printer_id) where state in ('queued', 'sending', 'removing');

-- The file that a start names: a path on the printer, or a content of the library.
alter table commands add column file jsonb;
alter table commands add column file_sha256 text;
create index commands_with_files on commands (printer_id, id) where finished_at is null and file_sha256 is not null;
