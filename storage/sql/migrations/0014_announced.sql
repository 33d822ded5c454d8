-- A revision that takes long to be made ready is announced ahead, and all processes put it in force together.
alter table catalogue_revisions add column in_force_at timestamptz;

comment on column catalogue_revisions.in_force_at is 'null: in force since it was committed';
