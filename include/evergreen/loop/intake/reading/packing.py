"""Unpack a file that nobody vouches for: never to more bytes than it may have."""

from __future__ import annotations

import gzip
import io
import zlib

from evergreen.core.text import plain
from evergreen.loop.intake.failures import UnfitFileError, unfit
from evergreen.loop.intake.reading.file_types import contents

_GZIP = b"\x1f\x8b"


def unpack(data: bytes, most: int) -> bytes:
    """What the gzip file `data` holds.

    Raises:
        UnfitFileError: it is no gzip file, it is damaged, or it holds more than `most` bytes.
    """
    if not data.startswith(_GZIP):
        found = contents(data)
        sentence = f"this is not a gzip file, though its name says so: it is {found}; name it without .gz, or pack it"
        raise UnfitFileError(unfit("readable", sentence, observed=found, expected="gzip"))
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            found_bytes = file.read(most + 1)
    except (EOFError, OSError, zlib.error) as error:
        detail = plain(error, 120)
        sentence = f"the gzip file is damaged or cut off ({detail}); land it again"
        raise UnfitFileError(unfit("readable", sentence, observed=detail, expected="a whole gzip file")) from None
    if len(found_bytes) > most:
        sentence = (
            f"unpacked, the file has more than {most:,} bytes (packed: {len(data):,}), and no more of it was read; "
            "land shorter periods, or raise feed.csv.max_unpacked in model.yaml"
        )
        raise UnfitFileError(unfit("size", sentence, observed=f"over {most}", expected=f"at most {most}"))
    return found_bytes
