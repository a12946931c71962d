-- Who a user is at a provider of single sign-on. The pair never changes there; names and addresses do.

create table identities (
    issuer text not null,
    subject text not null,
    user_id uuid not null references users (id) on delete cascade,
    primary key (issuer, subject)
);
create index identities_by_user on identities (user_id);
