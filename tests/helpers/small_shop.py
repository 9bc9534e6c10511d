"""A small model with a column of every type."""

import datetime as dt

import pandas as pd
import pytest

from evergreen.core.definition.model import ModelDefinition

COLUMNS = {
    "order_id": "string",
    "ordered_at": "timestamp",
    "country": "string",
    "items": "integer",
    "price": "float",
    "gift": "boolean",
}
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="session")
def shop() -> ModelDefinition:
    """A model with daily partitions from 2024-01-01 through 2024-12-31."""
    return ModelDefinition.model_validate(
        {
            "name": "shop",
            "title": "Will an order be returned?",
            "owner": "shop",
            "task": "binary",
            "target": "returned",
            "calendar": {"period": "day", "start": "2024-01-01", "end": "2024-12-31"},
            "feed": {
                "name": "orders",
                "entity": "order_id",
                "event_time": "ordered_at",
                "tables": {
                    "inputs": {"columns": COLUMNS},
                    "labels": {"columns": {"order_id": "string", "ordered_at": "timestamp", "returned": "float"}},
                },
            },
            "features": {"numeric": ["price"]},
            "alerts": {"to": ["shop@example.com"]},
        }
    )


@pytest.fixture
def orders() -> pd.DataFrame:
    """Six good orders of 2024-01-01, with the dtypes that reading gives."""
    return pd.DataFrame(
        {
            "order_id": [f"o-{n}" for n in range(6)],
            "ordered_at": pd.date_range(START, periods=6, freq="h").astype("datetime64[us, UTC]"),
            "country": ["SE", "FI", None, "NO", "DÄ", "SE"],
            "items": pd.array([1, 2, None, 4, 2**53 + 1, -6], dtype="Int64"),
            "price": [1.5, 0.1, float("nan"), 1e-9, -2.0, 1e300],
            "gift": [True, False, True, False, True, False],
        }
    )
