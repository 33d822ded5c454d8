-- Who may ask how much and until when; numbers that are not to be called or sold; privacy.

alter table tokens
    add column rate_per_second double precision check (rate_per_second > 0),
    add column rate_burst integer check (rate_burst > 0),
    add column expires_at timestamptz,
    add check ((rate_per_second is null) = (rate_burst is null));
