"""The section `retention` of `model.yaml`."""

from __future__ import annotations

from pydantic import Field

from evergreen.definition.section import Section


class RetentionSection(Section):
    """What is kept, counted from the newest back; a field that is left out keeps everything.

    What the champion, a rollback or the next training needs stays, however little is to be kept (decision 016).
    """

    keep_partitions: int | None = Field(default=None, ge=1)
    """Newest partitions whose landed copies, accepted rows and features are kept."""
    keep_quarantined: int | None = Field(default=None, ge=1)
    """Newest partitions of which drops are kept that were quarantined and have been landed again since."""
    keep_predictions: int | None = Field(default=None, ge=1)
    """Newest partitions whose predictions are kept."""
    keep_validations: int | None = Field(default=None, ge=1)
    """Newest partitions whose full Great Expectations results are kept."""
    keep_reports: int | None = Field(default=None, ge=1)
    """Newest partitions whose monitoring reports are kept."""
    keep_models: int | None = Field(default=None, ge=1)
    """Newest versions in the registry that are kept with their runs; what has served is always kept."""
