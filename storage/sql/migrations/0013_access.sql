-- The score that a call was decided by, for lists: its trace is not read there, and goes with the caller.
alter table calls add column quality smallint;

comment on column calls.quality is 'from 0 to 100; null: its campaign scores no calls';
