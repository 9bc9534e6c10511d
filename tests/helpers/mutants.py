"""Drops made from a good one by chance: bytes, schema or values changed. For tests by hypothesis and long campaigns.

    PYTHONPATH=tests/integration/intake nice python -m mutants 5000 [first seed]

runs a campaign and says what became of each case; a case is made again from its seed.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import random
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from evergreen.core.definition import load_definition
from evergreen.core.frames import as_file, to_parquet
from evergreen.core.ledger.tables import PartitionVersion
from evergreen.loop.intake import quarantine
from evergreen.loop.intake.validation.data_docs import Heading, page
from evergreen.loop.intake.validation.judge import judge
from evergreen.loop.intake.validation.load_expectations import load_expectations
from evergreen.tools.simulator.sources import rows

KEY = "2013-01-07"
TEXTS = [
    "", " ", "x" * 9_999, "x" * 10_001, "x" * 50_000, "\u202e\u2066txt.exe", "a\x00b", "\x1b[2J\x1b]0;pwned\x07",
    "\r\n\r\n", '=HYPERLINK("http://x","y")', "+1+cmd|' /C calc'!A0", "@SUM(1)", "-2+3", "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>", "';DROP TABLE verdict;--", "{{ 7*7 }}{% raw %}", "${jndi:ldap://x}", "%s%n%d",
    "../../../etc/passwd", "NaN", "null", "None", "1e999", "\ufeff", "\u200b", "Z\u0335a\u0334l\u0337g\u0336o" * 40,
    "\U0001f4a9", "\ud7ff\ue000\uffff", "\u2028", "C:\\nul", "con", "~/.ssh", "-rf", "--help", "a" * 128, "a" * 129,
    "0x1F", "\u0661\u0662\u0663",
]  # fmt: skip
NUMBERS = [
    0, -0.0, 1, -1, 2**31, -(2**31), 2**53 + 1, 2**63 - 1, -(2**63), 1e308, -1e308, 5e-324, np.nan,
    np.inf, -np.inf, 0.1,
]  # fmt: skip
INSTANTS = [0, -1, 2**63 - 1, -(2**63) + 1, -(2**63), 253_402_300_800_000_000, -62_135_596_800_000_001]
ZONES = ["Europe/Berlin", "+05:30", "Mars/Olympus", "", "../etc"]
OPTIONS = [
    {}, {"compression": "none"}, {"compression": "none", "use_dictionary": False}, {"compression": "gzip"},
    {"compression": "zstd", "data_page_version": "2.0"}, {"compression": "none", "data_page_version": "2.0"},
    {"compression": "lz4", "row_group_size": 500}, {"compression": "brotli", "store_schema": False},
    {"write_page_checksum": True},
    {"data_page_size": 200, "compression": "none"}, {"write_statistics": False, "version": "1.0"},
]  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A drop, and how it was made."""

    how: str
    suffix: str
    data: bytes


def mutant(rng: random.Random, frame: pd.DataFrame) -> Mutant:
    """One drop made from the good rows `frame`."""
    table, notes = pa.Table.from_pandas(frame, preserve_index=False), []
    for change in rng.choices([_cells, _column, _schema], k=rng.choice([0, 0, 1, 1, 2])):
        try:
            table, note = change(rng, table)
            notes.append(note)
        except (pa.ArrowException, ValueError, TypeError, OverflowError, KeyError) as error:
            notes.append(f"not possible ({type(error).__name__})")
    suffix = rng.choice(["parquet", "parquet", "parquet", "csv"])
    try:
        data = _parquet(rng, table) if suffix == "parquet" else _csv(table)
    except Exception as error:  # what no writer can write is not what is tested here
        notes.append(f"not written ({type(error).__name__})")
        data = _parquet(rng, pa.Table.from_pandas(frame, preserve_index=False))
    if not notes or rng.random() < 0.3:
        data, note = _bytes(rng, data, suffix)
        notes.append(note)
    if rng.random() < 0.03:
        suffix = "csv" if suffix == "parquet" else "parquet"
    return Mutant("; ".join(notes), suffix, data)


def _parquet(rng: random.Random, table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **rng.choice(OPTIONS))
    return sink.getvalue()


def _csv(table: pa.Table) -> bytes:
    return table.to_pandas().to_csv(index=False).encode("utf-8", "surrogatepass")


def _bytes(rng: random.Random, data: bytes, suffix: str) -> tuple[bytes, str]:
    """Damage: anywhere, or near the end, where a Parquet file says what it is."""
    broken, where = bytearray(data), rng.choice(["anywhere", "footer", "footer", "start"])
    low, high = 0, len(broken)
    if suffix == "parquet" and where == "footer":
        low = max(4, len(broken) - 8 - int.from_bytes(data[-8:-4], "little"))
    elif where == "start":
        high = min(high, 4000)
    how = rng.choice(["flip", "flip", "flip", "noise", "zero", "ones", "cut", "double", "truncate", "insert", "length"])
    for _ in range(rng.choice([1, 1, 1, 2, 5, 20]) if how == "flip" else 1):
        if not broken or low >= min(high, len(broken)):
            break
        at, size = rng.randrange(low, min(high, len(broken))), rng.choice([1, 2, 8, 100, 5000])
        part = bytes(broken[at : at + size])
        if how == "flip":
            broken[at] ^= 1 << rng.randrange(8)
        elif how == "length" and suffix == "parquet":
            broken[-8:-4] = rng.randrange(2**32).to_bytes(4, "little")
        elif how == "truncate":
            del broken[at:]
        elif how in ("cut", "length"):
            del broken[at : at + size]
        else:
            new = {"noise": rng.randbytes(len(part)), "zero": bytes(len(part)), "ones": b"\xff" * len(part)}
            broken[at : at + len(part)] = new.get(how) or part + (part if how == "double" else rng.randbytes(size))
    return bytes(broken), f"{how} {where}"


def _cells(rng: random.Random, table: pa.Table) -> tuple[pa.Table, str]:
    """Some or all values of a column become strange ones of its type."""
    name = rng.choice(table.column_names)
    at, kind = table.schema.get_field_index(name), table.schema.field(name).type
    if pa.types.is_timestamp(kind):
        values = pa.array(rng.choices(INSTANTS, k=3), pa.int64()).cast(pa.timestamp("us", "UTC"))
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        picked = rng.choices(NUMBERS, k=3)
        values = pa.array([kind.to_pandas_dtype()(v) for v in picked], kind)
    elif pa.types.is_boolean(kind):
        values = pa.array([True, False, None])
    elif pa.types.is_string(kind):
        values = pa.array([rng.choice(TEXTS), rng.choice(TEXTS), None], pa.string())
    else:
        raise TypeError(f"{name} holds no plain values any more")
    share = rng.choice([0.0005, 0.01, 0.5, 1.0])
    mask = np.array([rng.random() < share for _ in range(table.num_rows)], dtype=bool)
    column = table.column(name).combine_chunks()
    # Not by if_else, which ends the process on some of the types that another change has put there.
    both = pa.concat_arrays([*getattr(column, "chunks", [column]), values.cast(kind)])
    places = [len(column) + rng.randrange(len(values)) if odd else row for row, odd in enumerate(mask)]
    return table.set_column(at, name, both.take(pa.array(places, pa.int64()))), f"{mask.sum()} strange values in {name}"


def _column(rng: random.Random, table: pa.Table) -> tuple[pa.Table, str]:
    """A column gets another type."""
    name, n = rng.choice(table.column_names), table.num_rows
    kinds = {
        "uint64": lambda: pa.array([2**64 - 1] * n, pa.uint64()),
        "int8": lambda: pa.array([7] * n, pa.int8()),
        "float16": lambda: pa.array(np.full(n, 7, "float16")),
        "float32": lambda: pa.array(np.full(n, 7, "float32")),
        "decimal128": lambda: pa.array([Decimal("7.5")] * n, pa.decimal128(38, 10)),
        "decimal256": lambda: pa.array([Decimal(10) ** 60] * n, pa.decimal256(76, 0)),
        "decimal-whole": lambda: pa.array([Decimal(7)] * n, pa.decimal128(20, 0)),
        "binary": lambda: pa.array([b"\xff\xfe"] * n),
        "fixed": lambda: pa.array([b"12345678"] * n, pa.binary(8)),
        "large_string": lambda: pa.array(["x"] * n, pa.large_string()),
        "string_view": lambda: pa.array(["a text that is long enough"] * n, pa.string_view()),
        "date32": lambda: pa.array([2**31 - 1] * n, pa.int32()).cast(pa.date32()),
        "date64": lambda: pa.array([dt.date(2013, 1, 8)] * n, pa.date64()),
        "time64": lambda: pa.array([dt.time(1)] * n, pa.time64("us")),
        "duration": lambda: pa.array([dt.timedelta(1)] * n, pa.duration("us")),
        "seconds": lambda: pa.array([2**60] * n, pa.int64()).cast(pa.timestamp("s")),
        "nanos": lambda: pa.array([2**63 - 1] * n, pa.int64()).cast(pa.timestamp("ns")),
        "zone": lambda: pa.array([1_357_516_800] * n, pa.timestamp("s", rng.choice(ZONES))),
        "bool": lambda: pa.array([True] * n),
        "null": lambda: pa.nulls(n),
        "list": lambda: pa.array([[1]] * n),
        "empty-list": lambda: pa.array([[]] * n, pa.list_(pa.struct([("a", pa.list_(pa.int8()))]))),
        "struct": lambda: pa.array([{"a": {"b": [1]}}] * n),
        "empty-struct": lambda: pa.array([{}] * n, pa.struct([("a", pa.int8())])),
        "map": lambda: pa.array([[("a", 1)]] * n, pa.map_(pa.string(), pa.int8())),
        "dictionary": lambda: pa.array([rng.choice(["a", "b"]) for _ in range(n)]).dictionary_encode(),
        "dictionary-int": lambda: pa.array([rng.choice([1, 2]) for _ in range(n)]).dictionary_encode(),
        "dictionary-time": lambda: pa.array([1_357_600_000] * n, pa.timestamp("s")).dictionary_encode(),
        "uuid": lambda: pa.array([uuid.UUID(int=1).bytes] * n, pa.uuid()),
        "json": lambda: pa.array(["{}"] * n, pa.json_()),
    }
    kind = rng.choice(list(kinds))
    at, values = table.schema.get_field_index(name), pa.chunked_array([kinds[kind]()])
    return table.set_column(at, name, values), f"{name} as {kind}"


def _schema(rng: random.Random, table: pa.Table) -> tuple[pa.Table, str]:
    how = rng.choice(["drop", "rename", "add", "twice", "reorder", "metadata", "head", "repeat", "wide"])
    name = rng.choice(table.column_names)
    text = rng.choice(TEXTS)[:20_000]
    if how == "drop":
        return table.drop_columns([name]), f"without {name}"
    if how == "rename":
        names = [text if n == name else n for n in table.column_names]
        return table.rename_columns(names), f"{name} renamed {text[:40]!r}"
    if how in ("add", "twice"):
        return table.append_column(text if how == "add" else name, table.column(name)), f"{how} {text[:40]!r} {name}"
    if how == "reorder":
        return table.select(rng.sample(table.column_names, len(table.column_names))), "another order"
    if how == "metadata":
        garbage = rng.choice([b"{", b"\xff" * 50, rng.randbytes(300), b"x" * 2_000_000, b'{"index_columns": 5}'])
        return table.replace_schema_metadata({rng.choice([b"pandas", b"ARROW:schema", b"x"]): garbage}), "metadata"
    if how == "head":
        return table.slice(rng.randrange(table.num_rows), rng.choice([0, 1, 5000])), "fewer rows"
    if how == "repeat":
        return pa.concat_tables([table] * rng.choice([2, 3])), "rows again"
    for number in range(rng.choice([50, 1200])):
        table = table.append_column(f"c{number}", pa.nulls(table.num_rows))
    return table, "many columns"


class Subject:
    """A table of the shipped model, judged as `validate` does, up to what it writes."""

    def __init__(self, table: str, max_bad_rows: float = 0.0) -> None:
        definition = load_definition("nyc_flights")
        spec = definition.feed.tables[table].model_copy(update={"max_bad_rows": max_bad_rows})
        feed = definition.feed.model_copy(update={"tables": {**definition.feed.tables, table: spec}})
        self.definition, self.table = definition.model_copy(update={"feed": feed}), table
        self.expectations, self.frame = load_expectations(definition, table), rows(definition, table, KEY)

    def outcome(self, drop: Mutant) -> str:
        """accepted | accepted in part | quarantined; raises AssertionError if a promise is broken."""
        judged = judge(drop.data, drop.suffix, self.definition, self.table, KEY, self.expectations)
        words = [judged.reason, *(failure.sentence for failure in judged.failures)]
        assert all(word.isprintable() and "Traceback" not in word for word in words), words
        assert 10 < len(judged.reason) < 2500, judged.reason
        partition = PartitionVersion(
            model="nyc_flights", table=self.table, key=KEY, version=1, content_hash="c" * 64, landed_uri="file:///l",
            raw_uri="file:///r", bytes=len(drop.data), landed_at=dt.datetime(2013, 1, 14, tzinfo=dt.UTC),
        )  # fmt: skip
        if judged.suite is not None:
            page(judged.suite.json, Heading("t", "o", judged.reason))
        if not judged.accepted:
            sample = quarantine.sample_json(partition, judged)
            mail = quarantine.alert_body(
                self.definition, partition, judged, "file:///s", results_uri=None, airflow_url="http://a", run_url=None
            )
            said = sample + mail.model_dump_json()
            # PostgreSQL's JSON holds no NUL and no half of a surrogate pair.
            assert "\\u0000" not in said.replace("\\\\", "")
            json.dumps(json.loads(sample), ensure_ascii=False).encode()
            return "quarantined"
        assert judged.frame is not None
        assert len(to_parquet(judged.frame, self.definition.feed.tables[self.table].columns)) > 0
        if judged.rejected is None:
            return "accepted"
        assert len(as_file(judged.rejected)) > 0
        return "accepted in part"


def campaign(cases: int, first: int, say: Callable[[str], object]) -> int:
    """Judge `cases` mutants; say each that breaks a promise. Returns how many did."""
    subjects = [Subject("inputs"), Subject("labels"), Subject("inputs", 0.05), Subject("labels", 0.05)]
    outcomes: Counter[str] = Counter()
    for seed in range(first, first + cases):
        rng = random.Random(seed)
        subject = subjects[seed % len(subjects)]
        # Most are small, for speed: too few rows is one more reason, and hides none.
        drop = mutant(rng, subject.frame if seed % 5 == 0 else subject.frame.head(300))
        try:
            outcomes[subject.outcome(drop)] += 1
        except Exception as error:
            outcomes["broken promise"] += 1
            say(f"{seed}: {drop.how} ({drop.suffix}): {type(error).__name__}: {str(error)[:300]}")
        if (seed - first) % 250 == 249:
            say(str(dict(outcomes)))
    say(str(dict(outcomes)))
    return outcomes["broken promise"]


if __name__ == "__main__":
    asked = [int(argument) for argument in sys.argv[1:]]
    sys.exit(1 if campaign(asked[0], sum(asked[1:]), lambda words: sys.stderr.write(f"{words}\n")) else 0)
