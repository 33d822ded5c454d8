"""One look at everything."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from auction.alerts.judging import Scene, judge
from auction.domain.alert_terms import (
    AlertMeasure,
    AlertRule,
    AutoPause,
    Comparison,
    Subject,
    SubjectKind,
)
from auction.domain.alerting import AlertPhase, AlertState, Resolution
from auction.domain.hours import Hours, parse_weekly
from auction.domain.ids import OfferId, offer_owner
from auction.domain.report_figures import Figures
from auction.domain.terms import Cap, Measure, Period
from auction.domain.usage import Change, Usage, apply
from auction.domain.windows import window_starts
from storage.alerts import AlertChanges, HeldState, Key
from tests.alert_steps import a_rule, at
from tests.builders import NEW_YORK, NOON, a_campaign, a_catalogue, an_offer

ACME = Subject(SubjectKind.OFFER, "acme-auto")
KEY = ("slow", "offer:acme-auto")
BAD = Figures(pinged=100, timeouts=50)
FIRING = HeldState(AlertState(AlertPhase.FIRING, since=at(-60)), "a" * 32)


def a_scene(*rules: AlertRule, **changes: Any) -> Scene:
    values: dict[str, Any] = {
        "catalogue": a_catalogue(a_campaign(an_offer(), an_offer("beacon-auto", buyer="beacon"))),
        "states": {},
        "usage": {},
        "now": NOON,
        "new_id": lambda: "f" * 32,
        **changes,
    }
    return Scene(rules=rules, **values)


def judged(scene: Scene, figures: Mapping[Subject, Figures]) -> AlertChanges:
    return judge(scene, dict.fromkeys(scene.windows(), figures))


def watching(**changes: Any) -> AlertRule:
    return a_rule(scope=ACME, told=True, **changes)


def held(state: HeldState, key: Key = KEY) -> dict[Key, HeldState]:
    return {key: state}


def test_what_is_bad_fires_is_stored_and_told() -> None:
    changes = judged(a_scene(watching(pause=30)), {ACME: BAD})
    [fired], [news] = changes.fired, changes.news
    assert (fired.key, fired.reading, fired.pauses) == (KEY, 0.5, True)
    assert changes.states == {
        KEY: HeldState(AlertState(AlertPhase.FIRING, since=NOON), fired.alert_id)
    }
    assert (news.owner, news.webhook, news.event) == ("alert:slow", "alert", "alert.fired")
    assert news.data == {
        "alert_id": fired.alert_id,
        "rule": "slow",
        "name": "Slow",
        "subject": "offer:acme-auto",
        "offer": "acme-auto",
        "measure": "timeout_rate",
        "reading": 0.5,
        "comparison": "above",
        "threshold": 0.1,
        "over_minutes": 5,
        "pauses": True,
        "resolution": None,
        "at": "2026-11-20T17:00:00Z",
    }


def test_where_nothing_changes_nothing_is_written() -> None:
    assert judged(a_scene(watching()), {}) == AlertChanges()
    assert judged(a_scene(watching(), states=held(FIRING)), {ACME: BAD}) == AlertChanges()


def test_each_offer_is_watched_by_itself() -> None:
    rule = replace(a_rule(told=True), each_offer=True)
    beacon = Subject(SubjectKind.OFFER, "beacon-auto")
    changes = judged(a_scene(rule), {ACME: BAD, beacon: replace(BAD, timeouts=0)})
    assert [fired.key for fired in changes.fired] == [KEY]


def test_no_more_offers_are_paused_at_once_than_the_rule_allows() -> None:
    names = [f"offer-{number}" for number in range(5)]
    catalogue = a_catalogue(a_campaign(*(an_offer(name) for name in names)))
    rule = replace(a_rule(), each_offer=True, auto_pause=AutoPause(30, at_most=3))
    subjects = [Subject(SubjectKind.OFFER, name) for name in names]
    states = held(FIRING, ("slow", str(subjects[0])))
    changes = judged(
        a_scene(rule, catalogue=catalogue, states=states), dict.fromkeys(subjects, BAD)
    )
    assert [fired.pauses for fired in changes.fired] == [True, True, False, False]


def test_what_finds_no_room_to_fire_fires_at_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auction.alerts.judging.MOST_AT_ONCE", 1)
    rule = replace(a_rule(), each_offer=True)
    both = dict.fromkeys((ACME, Subject(SubjectKind.OFFER, "beacon-auto")), BAD)
    first = judged(a_scene(rule), both)
    second = judged(a_scene(rule, states=first.states), both)
    assert [fired.key[1] for fired in first.fired] == ["offer:acme-auto"]
    assert [fired.key[1] for fired in second.fired] == ["offer:beacon-auto"]


def test_an_escalation_is_told_elsewhere_and_its_end_in_both_places() -> None:
    rule = watching(escalate=10, clear_after_minutes=0)
    changes = judged(a_scene(rule, states=held(FIRING)), {ACME: BAD})
    assert changes.escalated == [FIRING.alert_id]
    assert [(each.webhook, each.event) for each in changes.news] == [
        ("escalation", "alert.escalated")
    ]
    escalated = HeldState(replace(FIRING.state, escalated=True), FIRING.alert_id)
    over = judged(a_scene(rule, states=held(escalated)), {ACME: Figures(pinged=100)})
    assert over.resolved == [(FIRING.alert_id, Resolution.CLEARED)]
    assert over.states == {KEY: HeldState()}
    assert [each.webhook for each in over.news] == ["alert", "escalation"]


def test_a_rule_or_a_subject_that_is_gone_is_resolved_and_forgotten() -> None:
    pending = HeldState(AlertState(AlertPhase.PENDING, since=NOON))
    states = {**held(FIRING), **held(pending, ("gone", "marketplace"))}
    changes = judged(a_scene(states=states), {})
    assert changes.resolved == [(FIRING.alert_id, Resolution.GONE)]
    assert changes.states == dict.fromkeys(states, HeldState())
    assert changes.news == []


def test_the_end_of_an_alert_whose_offer_is_gone_is_told_by_the_rule_that_is_left() -> None:
    rule = replace(a_rule(told=True), each_offer=True)
    gone = held(FIRING, ("slow", "offer:gone"))
    changes = judged(a_scene(rule, states=gone), {Subject(SubjectKind.OFFER, "gone"): BAD})
    assert changes.resolved == [(FIRING.alert_id, Resolution.GONE)]
    [news] = changes.news
    assert (news.event, news.data["resolution"]) == ("alert.resolved", "gone")


def test_an_offer_without_figures_is_looked_at_as_long_as_its_alert_is_not_over() -> None:
    rule = replace(a_rule(escalate=10), each_offer=True)
    assert judged(a_scene(rule, states=held(FIRING)), {}).escalated == [FIRING.alert_id]


def test_once_all_that_is_read_came_after_the_resumption_it_is_forgotten() -> None:
    for minutes, kept in ((-3, False), (-60, True)):
        resumed = HeldState(AlertState(counted_from=at(minutes)))
        changes = judged(a_scene(watching(), states=held(resumed)), {})
        assert (KEY in changes.states) is kept


def test_a_comparison_with_the_past_reads_both() -> None:
    rule = watching(
        measure=AlertMeasure.ACCEPT_RATE,
        comparison=Comparison.BELOW,
        threshold=0.7,
        clear=0.8,
        past_minutes=60,
    )
    scene = a_scene(rule)
    now = Figures(posts_accepted=5, posts_rejected=5)
    past = Figures(posts_accepted=10)
    read = {each: {ACME: now if each.until == NOON else past} for each in scene.windows()}
    assert [fired.reading for fired in judge(scene, read).fired] == [0.5]


def calls_below_one(**changes: Any) -> AlertRule:
    return watching(
        measure=AlertMeasure.CALLS, comparison=Comparison.BELOW, threshold=1, clear=1, **changes
    )


def test_no_calls_are_bad_but_not_while_nobody_takes_any() -> None:
    assert judged(a_scene(calls_below_one()), {}).fired
    later = Hours(NEW_YORK, parse_weekly({"mon-sun": ["12:00-18:00"]}))
    closed = a_catalogue(a_campaign(an_offer(hours=later)))
    assert not judged(a_scene(calls_below_one(), catalogue=closed), {}).fired
    open_now = a_scene(calls_below_one(), catalogue=closed, now=NOON + timedelta(hours=1))
    assert judged(open_now, {}).fired
    resumed = held(HeldState(AlertState(counted_from=at(-2))))
    assert not judged(a_scene(calls_below_one(), states=resumed), {}).fired
    many = watching(measure=AlertMeasure.CALLS, threshold=10, clear=10)
    assert judged(a_scene(many), {ACME: Figures(calls=11)}).fired


def of_caps(measure: AlertMeasure, threshold: float) -> AlertRule:
    return watching(
        measure=measure, comparison=Comparison.AT_LEAST, threshold=threshold, clear=threshold
    )


def test_a_cap_that_is_nearly_full_or_will_be_before_its_window_ends() -> None:
    day = Cap(Measure.CALLS, Period.DAY, 100)
    catalogue = a_catalogue(a_campaign(an_offer(caps=[day])))
    used = apply(Usage(), window_starts(NOON, NEW_YORK), Change(0, (60, 0, 0, 0), (0, 0, 0, 0)))
    usage = {offer_owner(OfferId("acme-auto")): used}
    for measure, threshold, reading in (
        (AlertMeasure.CAP_USED_RATIO, 0.6, 0.6),
        (AlertMeasure.CAP_FORECAST_RATIO, 1.0, 1.2),
    ):
        scene = a_scene(of_caps(measure, threshold), catalogue=catalogue)
        assert scene.needs_usage()
        assert scene.windows() == set()
        [fired] = judge(replace(scene, usage=usage), {}).fired
        assert fired.reading == reading
    uncapped = a_scene(of_caps(AlertMeasure.CAP_USED_RATIO, 0.0))
    assert judge(uncapped, {}) == AlertChanges()
