"""From the landing zone to an accepted or a quarantined partition.

`landing_zone` sees whether a table has landed whole. `receive` keeps a copy of its bytes. `validate` gives the verdict.
`accepted_rows` hands accepted rows to the later stages.
"""

import logging
import os

# Both count from the moment Great Expectations is imported: no usage statistics from a worker, no chatter in its log.
os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")
logging.getLogger("great_expectations").setLevel(logging.ERROR)
# What its renderer cannot draw it leaves out of the page, and logs as a stack trace.
logging.getLogger("great_expectations.render").setLevel(logging.CRITICAL)
