-- How long what calls have added to the figures has waited to be folded.
alter table report_deltas add column noted_at timestamptz not null default now();
