-- Alerts: whose turn it is to look, where each rule stands with each subject, and what has fired.

-- One process at a time looks: it holds this row until it has written what it saw, or is gone.
create table alert_turn (
    only_one boolean primary key default true check (only_one),
    looked_at timestamptz not null
);
insert into alert_turn (looked_at) values ('-infinity');

-- Where nothing is wrong, and nothing was a moment ago, there is no row.
create table alert_states (
    rule text collate "C" not null,
    subject text collate "C" not null,
    phase text not null,
    since timestamptz,
    good_since timestamptz,
    escalated boolean not null default false,
    paused_at timestamptz,
    counted_from timestamptz,
    alert_id text,
    primary key (rule, subject)
);

create index alert_states_by_alert on alert_states (alert_id) where alert_id is not null;

create table alerts (
    alert_id text collate "C" primary key,
    rule text collate "C" not null,
    subject text collate "C" not null,
    name text not null,
    measure text not null,
    reading double precision not null,
    threshold double precision not null,
    fired_at timestamptz not null,
    acknowledged_at timestamptz,
    acknowledged_by text,
    escalated_at timestamptz,
    resolved_at timestamptz,
    resolution text,
    pause text check (pause in ('wanted', 'paused', 'to_resume', 'resumed', 'left')),
    pause_revision bigint
);

comment on column alerts.pause is
    'left: somebody else had paused or changed the offer, so it was not touched';

create index alerts_active on alerts (fired_at, alert_id) where resolved_at is null;
create index alerts_to_switch on alerts (alert_id) where pause in ('wanted', 'to_resume');
create index alerts_by_time on alerts (fired_at, alert_id);
