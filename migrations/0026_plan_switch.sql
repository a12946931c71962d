-- The switch of the planner: at most one row.
create table plan_switch (
    id bigint primary key not null check (id = 1),
    is_stopped boolean not null,
    reason text,
    changed_at timestamptz not null,
    changed_by text not null
);
