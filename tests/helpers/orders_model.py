"""A small model whose orders the tests make themselves: will an order be returned?"""

import datetime as dt

import numpy as np
import pandas as pd

DEFINITION = """
name: orders
title: Will an order be returned?
owner: shop
task: binary
target: returned
calendar: {period: week, start: 2024-01-01}
feed:
  name: orders
  entity: order_id
  event_time: ordered_at
  label_delay: 1
  tables:
    inputs: {columns: {order_id: string, ordered_at: timestamp, day: string, country: string, price: float, age: float}}
    labels: {columns: {order_id: string, ordered_at: timestamp, returned: boolean}}
features: {look_back: 0, numeric: [price, age], categorical: [country]}
training: {window: 4, validation: 1, candidates: [linear], trials: 1}
gate: {cluster: day}
alerts: {to: [shop@example.com]}
"""
FEATURES = """
def build(inputs, history):
    return inputs.drop(columns="day")
"""
EXPECTATIONS = """
def inputs():
    return []


def labels():
    return []


def features():
    return []
"""
ROWS = 700


def write_model(folder, definition=DEFINITION):
    """The model's three files in a new folder."""
    folder.mkdir(parents=True)
    for name, text in (("model.yaml", definition), ("features.py", FEATURES), ("expectations.py", EXPECTATIONS)):
        (folder / name).write_text(text)


def week(number, key):
    """Inputs and labels of the week that begins on `key`: expensive orders of young customers are returned."""
    rng = np.random.default_rng(number)
    start = dt.datetime.fromisoformat(key).replace(tzinfo=dt.UTC)
    minutes = np.sort(rng.integers(0, 7 * 24 * 60, ROWS))
    times = (pd.Timestamp(start) + pd.to_timedelta(minutes, unit="min")).astype("datetime64[us, UTC]")
    orders = pd.DataFrame({"order_id": [f"{number}-{n}" for n in range(ROWS)], "ordered_at": times})
    price, age = rng.lognormal(3, 0.6, ROWS), rng.normal(40, 12, ROWS)
    inputs = orders.assign(
        day=times.strftime("%Y-%m-%d"), country=rng.choice(["SE", "FI", "NO"], ROWS), price=price, age=age
    )
    logit = -1.2 + 0.03 * (price - 20) - 0.06 * (age - 40)
    return inputs, orders.assign(returned=rng.random(ROWS) < 1 / (1 + np.exp(-logit)))


def turn(inputs, labels):
    """Another world: expensive orders are no longer returned, cheap ones are."""
    labels["returned"] = inputs["price"] < 20
