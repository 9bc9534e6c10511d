"""One cause is one episode: partitions near each other that are held for the same reason."""

from evergreen.loop.intake.labels.holds import Held, Problem, assign


def near(one, other):
    return abs(int(one) - int(other)) <= 4


def problem(key, cause="incomplete"):
    return Problem(key, cause, int(key), 0.95)


def held(key, episode, cause="incomplete", *, still=True):
    return Held(int(key), key, cause, episode, still)


def episodes(found, past=(), ended=()):
    return {new.key: episode for new, episode in assign(found, list(past), ended, near=near)}


def test_partitions_near_each_other_are_one_cause():
    assert episodes([problem("7"), problem("8"), problem("9")]) == dict.fromkeys("789", "incomplete:7:0")


def test_what_is_held_already_is_not_held_again():
    assert episodes([problem("7"), problem("8")], [held("7", "first")]) == {"8": "first"}


def test_far_apart_is_another_cause():
    assert episodes([problem("20")], [held("7", "first")]) == {"20": "incomplete:20:1"}


def test_labels_that_are_completed_late_each_week_stay_one_cause():
    past = [held("7", "first", still=False), held("8", "first", still=False)]
    assert episodes([problem("9")], past) == {"9": "first"}


def test_another_reason_is_another_cause():
    assert episodes([problem("8", "one_sided")], [held("7", "first")]) == {"8": "one_sided:8:1"}


def test_the_same_partition_again_belongs_to_its_cause():
    assert episodes([problem("7")], [held("7", "first", still=False)]) == {"7": "first"}


def test_what_is_held_again_after_a_mail_has_said_that_all_is_well_is_another_cause():
    past = [held("7", "incomplete:7:0", still=False)]
    assert episodes([problem("7")], past, ended=["incomplete:7:0"]) == {"7": "incomplete:7:1"}
