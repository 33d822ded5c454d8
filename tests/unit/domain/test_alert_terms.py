"""Whom rules watch."""

from dataclasses import replace

import pytest

from auction.domain.alert_terms import EVERYTHING, Subject, SubjectKind
from tests.alert_steps import a_rule
from tests.builders import a_campaign, a_catalogue, an_offer

CATALOGUE = a_catalogue(
    a_campaign(an_offer("acme-auto"), an_offer("cobalt-auto", buyer="cobalt")),
    a_campaign(an_offer("acme-home", campaign="home"), campaign_id="home", numbers=()),
)


@pytest.mark.parametrize(
    ("kind", "name", "each", "together"),
    [
        (SubjectKind.MARKETPLACE, "", ["acme-auto", "cobalt-auto", "acme-home"], ["marketplace"]),
        (SubjectKind.BUYER, "acme", ["acme-auto", "acme-home"], ["buyer:acme"]),
        (SubjectKind.CAMPAIGN, "home", ["acme-home"], ["campaign:home"]),
        (SubjectKind.OFFER, "cobalt-auto", ["cobalt-auto"], ["offer:cobalt-auto"]),
        (SubjectKind.SOURCE, "pub-17", [], ["source:pub-17"]),
        (SubjectKind.OFFER, "gone", [], []),
        (SubjectKind.BUYER, "gone", [], []),
        (SubjectKind.CAMPAIGN, "gone", [], []),
    ],
)
def test_a_rule_watches_its_scope_or_each_offer_in_it(
    kind: SubjectKind, name: str, each: list[str], together: list[str]
) -> None:
    rule = a_rule(scope=Subject(kind, name))
    assert [str(subject) for subject in rule.subjects(CATALOGUE)] == together
    one_by_one = replace(rule, each_offer=True).subjects(CATALOGUE)
    assert [str(subject) for subject in one_by_one] == [f"offer:{offer}" for offer in each]


@pytest.mark.parametrize("each_offer", [True, False])
@pytest.mark.parametrize("kind", list(SubjectKind))
def test_a_rule_watches_just_its_subjects(kind: SubjectKind, each_offer: bool) -> None:
    names = ["", "acme", "auto-insurance", "acme-auto", "gone"]
    everyone = [Subject(each, name) for each in SubjectKind for name in names]
    for name in names:
        rule = replace(a_rule(scope=Subject(kind, name)), each_offer=each_offer)
        watched = [each for each in everyone if rule.watches(each, CATALOGUE)]
        assert {*watched} == {*rule.subjects(CATALOGUE)} & {*everyone}
        assert {each.kind for each in watched} <= {rule.kind}


def test_a_subject_is_read_as_it_was_written() -> None:
    for subject in (EVERYTHING, Subject(SubjectKind.OFFER, "a:b")):
        assert Subject.read(str(subject)) == subject


def test_without_a_scope_it_watches_everything() -> None:
    assert a_rule().scope == EVERYTHING
