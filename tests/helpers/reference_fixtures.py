"""The small model with everything that features may read: prices with validity, holidays, inputs without labels."""

import datetime as dt
import os
from pathlib import Path

import pandas as pd

from evergreen.core.definition.load import read_definition

DEFINITION_MORE = """
  references:
    prices:
      columns: {country: string, valid_from: timestamp, list_price: float}
      key: country
      valid_from: valid_from
    holidays: {columns: {day: string, name: string}, key: [day]}
"""
FEATURES = """
from evergreen.features import as_of


def build(inputs, history, recent, references):
    rate = history.groupby("country")["returned"].mean()
    busy = recent.groupby("country").size()
    found = as_of(
        inputs, references["prices"], by="country", at="ordered_at", valid_from="valid_from", columns=["list_price"]
    )
    found["day"] = found["ordered_at"].dt.strftime("%Y-%m-%d")
    found = as_of(found, references["holidays"], by="day", columns=["name"], prefix="holiday_")
    return found.assign(
        return_rate=found["country"].map(rate).astype("float64"),
        rebate=found["list_price"] - found["price"],
        recent_orders=found["country"].map(busy).fillna(0).astype("float64"),
        holiday=found["holiday_name"],
    )
"""
EXPECTATIONS_MORE = """

def references():
    return {"prices": [gxe.ExpectColumnValuesToBeBetween(column="list_price", min_value=0)]}
"""


def with_references(feed, recent: object = 2):
    """Have the small model `feed` read references and inputs without labels."""
    path = feed.folder / "model.yaml"
    text = path.read_text().replace("features: {look_back: 2, numeric: [price, return_rate], categorical: [country]}",
        "features:\n  look_back: 2\n"
        f"  recent_inputs: {recent}\n  recent_columns: [country]\n"
        "  numeric: [price, return_rate, rebate, recent_orders]\n  categorical: [country, holiday]",
    )  # fmt: skip
    head, tables = text.split("\nfeatures:", 1)
    path.write_text(f"{head}{DEFINITION_MORE.rstrip()}\nfeatures:{tables}")
    (feed.folder / "features.py").write_text(FEATURES)
    with (feed.folder / "expectations.py").open("a") as file:
        file.write(EXPECTATIONS_MORE)
    feed.definition = read_definition(path)
    return feed


def prices(*rows: tuple[str, str, float]) -> pd.DataFrame:
    """Rows of (country, valid from, list price)."""
    since = pd.to_datetime([row[1] for row in rows], utc=True, format="ISO8601").astype("datetime64[us, UTC]")
    return pd.DataFrame({"country": [r[0] for r in rows], "valid_from": since, "list_price": [r[2] for r in rows]})


def land_reference(settings, name: str, stamp: str, frame: pd.DataFrame, feed: str = "shop") -> Path:
    """A version of a reference in the landing zone, whole."""
    folder = Path(settings.landing_url.removeprefix("file://")) / feed / "references" / name / stamp
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / f"{name}.csv", index=False)
    (folder / "_SUCCESS").touch()
    later = dt.datetime.now(dt.UTC).timestamp() + 1  # a file system may tell times apart by the second only
    os.utime(folder / "_SUCCESS", (later, later))
    return folder
