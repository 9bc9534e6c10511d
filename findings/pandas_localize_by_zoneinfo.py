"""pandas 2.3.3: `dt.tz_localize` takes some hundred times longer if the zone is a `zoneinfo.ZoneInfo` than if it is its name.

Expected: the name of a zone and the standard library's object for it mean the same and cost the same.
Seen: the same instants come out, and a column of 300,000 clock times takes seconds instead of hundredths of one.
Who meets it: code that passes `ZoneInfo` objects, as PEP 615 has it, and localises a column.
What to do: pass the zone's name (`zone.key`), or localise the distinct values only.
Here: intake inverts `tz_convert` over the distinct values (`loop/intake/reading/local_times.py`).
"""

import sys
import time

import pinned

PACKAGES = ("pandas==2.3.3", "tzdata")
NOTED = {"the same instants": True, "at least 20 times as long": True}
ROWS = 300_000


def main() -> None:
    from zoneinfo import ZoneInfo

    import pandas as pd

    times = pd.Series(pd.date_range("2024-01-01", periods=ROWS, freq="s"))

    def localize(zone: object) -> tuple[float, pd.Series]:
        begun = time.process_time()
        found = times.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
        return time.process_time() - begun, found.dt.tz_convert("UTC")

    localize("Europe/Berlin")  # the first call of a process loads the zone
    (by_name, one), (by_object, other) = localize("Europe/Berlin"), localize(ZoneInfo("Europe/Berlin"))
    print(f"processor seconds: {by_name:.3f} by name, {by_object:.3f} by object")
    pinned.compare(
        {"the same instants": one.equals(other), "at least 20 times as long": by_object >= 20 * by_name}, NOTED
    )


if __name__ == "__main__":
    main() if "--inside" in sys.argv else pinned.run(__file__, *PACKAGES)
