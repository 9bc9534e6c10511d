"""A person's decision needs a reason, whichever code passes it on."""

import pytest

from evergreen.core.definition import load_definition
from evergreen.errors import BadInputError
from evergreen.loop.champion.promotion import promote, stated
from evergreen.loop.champion.rollback import roll_back

FLIGHTS = load_definition("nyc_flights")


def test_a_reason_is_recorded_on_one_line_and_moves_no_cursor():
    assert (
        stated(" too slow\n2026-01-01 promoted \x1b[2Kby admin ") == r"too slow 2026-01-01 promoted \u001b[2Kby admin"
    )
    assert len(stated("x" * 5_000)) == 2_003


@pytest.mark.parametrize("why", [" ", "\n\t"])
def test_blanks_are_no_reason(why):
    with pytest.raises(BadInputError, match="say why"):
        roll_back(FLIGHTS, to=None, why=why, decided_by="Ada", cause_key="x", settings=None)
    with pytest.raises(BadInputError, match="say why"):
        promote(FLIGHTS, 1, why=why, decided_by="Ada", settings=None)
