"""Drops changed by chance: each is accepted or quarantined in words, and what is kept and told of it can be written."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.mutants import Subject, mutant

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", params=[("inputs", 0.0), ("labels", 0.05)], ids=lambda param: param[0])
def subject(request):
    return Subject(*request.param)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1))
def test_any_drop_is_accepted_or_quarantined_in_words(subject, seed):
    subject.outcome(mutant(random.Random(seed), subject.frame.head(500)))
