"""The verdict that a drop would get, read where it lies: no ledger, no store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.names import PartitionKey
from evergreen.loop.intake import pseudonyms
from evergreen.loop.intake.comparisons.past import Past
from evergreen.loop.intake.drop_content import content_of
from evergreen.loop.intake.failures import UnfitFileError, reason
from evergreen.loop.intake.landed_folder import LAKES
from evergreen.loop.intake.landing_zone import Drop
from evergreen.loop.intake.limits import LIMITS
from evergreen.loop.intake.validation.judge import judge, too_large
from evergreen.loop.intake.validation.judgement import Judgement


def judge_drop(
    drop: Drop,
    definition: ModelDefinition,
    table: TableName,
    key: PartitionKey,
    expectations: Sequence[Any],
    *,
    past: Past | None = None,
    secret: bytes | None = None,
) -> Judgement:
    """Judge a file, a folder of part files or a lake's table. With `secret`, personal columns are judged as tokens.

    Great Expectations' own result is left out.

    Raises:
        DefinitionError, UnavailableError: as `judge` and `content_of`.
    """
    if drop.size > LIMITS.file_bytes and drop.suffix not in LAKES:
        failure = too_large(drop.size)
        return Judgement(False, failure.sentence, (failure,), None, None)
    try:
        data, suffix = content_of(drop)
    except UnfitFileError as error:
        return Judgement(False, reason(error.failures), error.failures, None, None)
    if secret is not None:
        data, suffix = pseudonyms.nameless(data, suffix, definition, table, secret)
    return judge(data, suffix, definition, table, key, expectations, past=past, in_full=False)
