-- The name of the user or token that created a token. Null for tokens that are older than the column.
alter table tokens add column created_by text;
