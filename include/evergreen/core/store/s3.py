"""S3 through s3fs. If its server does not answer, every call raises the same error of ours.

botocore's errors about a connection are no OSErrors, and what a server says of its own trouble (500, 503) is one
without a file: neither would tell a task, or a person at a terminal, which server it is about and what to do.
"""

from __future__ import annotations

import errno
from typing import Any

from botocore.exceptions import BotoCoreError, ParamValidationError
from s3fs import S3FileSystem
from s3fs.errors import EREMOTEIO

from evergreen.errors import UnavailableError

_TROUBLE = {errno.EIO, EREMOTEIO, errno.EBUSY}
"""What s3fs makes of answers that it does not know, of internal errors, and of a server that asks for patience"""


class S3(S3FileSystem):  # type: ignore[misc]  # s3fs has no types
    """s3fs. Raises UnavailableError if the server does not answer, or not as it should."""

    async def _call_s3(self, method: str, *given: Any, **more: Any) -> Any:
        try:
            return await super()._call_s3(method, *given, **more)
        except ParamValidationError:
            raise  # what was asked is wrong, which s3fs itself looks at
        except (BotoCoreError, OSError) as error:
            if isinstance(error, OSError) and not (isinstance(error, TimeoutError) or error.errno in _TROUBLE):
                raise
            about = more.get("Bucket")
            raise UnavailableError(
                f"S3 at {self._address()} did not {method.replace('_', ' ')}{f' of bucket {about}' if about else ''} "
                f"({error}); check that it runs, AWS_ENDPOINT_URL, "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that its disk has space"
            ) from error

    def _address(self) -> str:
        return str(self._s3.meta.endpoint_url) if self._s3 is not None else "its address"
