"""A reading that learns more gives quarantined drops another look, and accepted ones none."""

from evergreen.core.definition.sections import CsvSection
from evergreen.loop.intake.validation import judge
from evergreen.loop.intake.validation.judge import recorded_hash, verdict_hash


def test_a_verdict_that_accepts_is_kept_under_the_rules_alone(shop, monkeypatch):
    rules = verdict_hash(shop, "inputs", [])
    assert recorded_hash(rules, accepted=True) == rules
    quarantined = recorded_hash(rules, accepted=False)
    assert quarantined != rules
    assert quarantined.startswith(rules)
    monkeypatch.setattr(judge, "READING_VERSION", judge.READING_VERSION + 1)
    assert recorded_hash(rules, accepted=True) == rules
    assert recorded_hash(rules, accepted=False) not in (rules, quarantined)


def test_a_declared_form_of_text_is_part_of_the_rules_and_the_default_is_not(shop):
    usual = verdict_hash(shop, "inputs", [])
    # as it was before there was a form to declare
    assert usual == "0e35d886349b4a0de144d7a6012f0c1f721a5b3fff91f4cbea43b4d004cd41bd"
    declared = shop.model_copy(update={"feed": shop.feed.model_copy(update={"csv": CsvSection(decimal=",")})})
    assert verdict_hash(declared, "inputs", []) != usual
