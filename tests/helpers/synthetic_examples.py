"""Small labelled tables whose truth is known."""

import numpy as np
import pandas as pd

from evergreen.core.definition import ModelDefinition
from evergreen.loop.training.examples import Examples
from evergreen.loop.training.model_matrix import model_frame

TABLES = {
    "inputs": {"columns": {"id": "string", "at": "timestamp", "price": "float", "country": "string"}},
    "labels": {"columns": {"id": "string", "at": "timestamp", "y": "float"}},
}


KINDS_OF_TARGET = {"multiclass": "string"}


def definition(task="binary", loss=None, classes=(), **training):
    target = KINDS_OF_TARGET.get(task, "float")
    tables = {**TABLES, "labels": {"columns": {**TABLES["labels"]["columns"], "y": target}}}
    return ModelDefinition.model_validate(
        {
            "name": "orders",
            "title": "Orders",
            "owner": "shop",
            "task": task,
            "target": "y",
            "classes": classes,
            "calendar": {"start": "2024-01-01"},
            "feed": {"name": "orders", "entity": "id", "event_time": "at", "tables": tables},
            "features": {"numeric": ["price", "age"], "categorical": ["country"]},
            "training": {"trials": 2, "validation": 1, **training},
            "gate": {"loss": loss},
            "alerts": {"to": ["shop@example.com"]},
        }
    )


def examples(task="binary", weeks=4, rows=400, seed=0):
    """Expensive orders, and those of SE, have a high target; `age` means nothing and is often null.

    Of several classes `keep` is that of cheap orders, `swap` of those between, `send back` of expensive ones.
    """
    rng = np.random.default_rng(seed)
    size = weeks * rows
    price, country = rng.normal(20, 5, size), rng.choice(["SE", "FI", "NO"], size)
    signal = 0.3 * (price - 20) + 1.5 * (country == "SE") - 0.5
    target = (rng.random(size) < 1 / (1 + np.exp(-signal))) if task == "binary" else signal + rng.normal(0, 0.5, size)
    if task == "multiclass":
        noisy = signal + rng.logistic(0, 1, size)
        target = np.array(["keep", "swap", "send back"], dtype=object)[(noisy > -0.7).astype(int) + (noisy > 1)]
    frame = pd.DataFrame(
        {"price": price, "age": np.where(rng.random(size) < 0.4, np.nan, rng.normal(40, 9, size)), "country": country}
    )
    days = pd.date_range("2024-01-01", periods=weeks * 7, tz="UTC", unit="us")
    times = pd.Series(np.repeat(days, rows // 7 + 1)[:size])
    names = [day.strftime("%Y-%m-%d") for day in days[::7]]
    return Examples(
        features=model_frame(frame, ["price", "age"], ["country"]),
        target=target if task == "multiclass" else np.asarray(target, dtype=np.float64),
        key=np.repeat(np.array(names, dtype=object), rows),
        cluster=np.asarray(times.dt.strftime("%Y-%m-%d"), dtype=object),
        entity=np.array([str(n) for n in range(size)], dtype=object),
        event_time=times,
        extra=pd.DataFrame(index=range(size)),
    )
