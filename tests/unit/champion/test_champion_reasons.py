"""A person's decision needs a reason, whoever passes it on."""

import pytest

from evergreen.champion.decide import promote
from evergreen.champion.rollback import roll_back
from evergreen.definition import load_definition
from evergreen.errors import BadInputError

FLIGHTS = load_definition("nyc_flights")


@pytest.mark.parametrize("why", [" ", "\n\t"])
def test_blanks_are_no_reason(why):
    with pytest.raises(BadInputError, match="say why"):
        roll_back(FLIGHTS, to=None, why=why, decided_by="Ada", cause_key="x", settings=None)
    with pytest.raises(BadInputError, match="say why"):
        promote(FLIGHTS, 1, why=why, decided_by="Ada", settings=None)
