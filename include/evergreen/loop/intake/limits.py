"""How large a landed file may be. A file beyond a limit is quarantined before it is read, never half read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds on one landed file. They protect the worker's memory, so they hold for every model alike."""

    file_bytes: int = 1 << 30
    """Size as landed: 1 GiB"""
    read_bytes: int = 4 << 30
    """Size in memory of the columns that the definition names: 4 GiB. A decompression bomb is stopped here."""
    read_memory: int = 8 << 30
    """Memory that reading may take on the way to that: 8 GiB. What is not seen to be a bomb before is stopped here."""
    read_seconds: int = 300
    """Processor time that reading may take. 1 GiB of ordinary Parquet or CSV takes some ten seconds."""
    read_wait: int = 1_200
    """Seconds by the clock that reading may take. Beyond it, not the file is at fault but the machine."""
    judge_seconds: int = 60
    """Processor time that converting and judging the rows may take, and as much again for each million of them: some
    thirty times what a suite of a dozen expectations takes"""
    judge_seconds_per_million: int = 60
    rows: int = 20_000_000
    columns: int = 1_000
    """Columns in the file, those that are not read included"""
    name_chars: int = 128
    """Length of a column's name"""
    value_bytes: int = 10_000
    """Length of one text value in UTF-8"""
    csv_line_bytes: int = 16 << 20
    """Length of one line of a CSV file"""


LIMITS = Limits()
