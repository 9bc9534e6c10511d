"""First lines of text files that are no header, or are separated by blanks."""

import pytest

from evergreen.core.definition.sections import CsvSection
from evergreen.loop.intake.reading.first_lines import fault_of


def said(*lines):
    text = "\n".join(lines)
    return fault_of(lines[0].split(","), text.encode(), CsvSection())


@pytest.mark.parametrize(
    "rows",
    [
        ("2024-01-01,north,3.5", "2024-01-02,south,4", "2024-01-03,north,"),
        ("r1,01/02/2024,7,7", "r2,01/03/2024,9,1", "r3,01/04/2024,2,8"),
        ("5.1,3.5,setosa", "4.9,3.0,setosa", "4.7,3.2,setosa"),
    ],
)
def test_values_in_the_first_line_are_named(rows):
    assert "no names of columns" in said(*rows)


@pytest.mark.parametrize(
    "rows",
    [
        ("ts,00,10,11", "2019-08-05,4.5,2.5,1.1", "2019-08-06,4.5,2.5,1.1"),
        ("country,1990,1991", "Aruba,4,5", "Bonaire,6,7"),
        ("id,at,y", "1,2024-01-01,3", "2,2024-01-02,4"),
        ("name,colour", "a,red", "b,blue"),
    ],
)
def test_headers_are_headers(rows):
    assert said(*rows) is None


@pytest.mark.parametrize(
    ("rows", "way"),
    [
        (("at        y   z", "2024-01-01 1   2", "2024-01-02 12  3"), "read_csv"),
        (("at          place       y", "2024-01-01  New York    1", "2024-01-02  Rome        2"), "read_fwf"),
    ],
)
def test_blanks_between_columns_are_named(rows, way):
    assert way in said(*rows)
