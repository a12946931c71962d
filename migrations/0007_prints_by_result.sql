-- The few prints that failed among a million are found at once.
create index prints_by_result on prints (result, id) where result is not null;
