"""The file system behind an fsspec URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evergreen.errors import BadInputError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


def url_to_fs(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of `url` and the path on it, as of fsspec's function of that name. Nothing is asked of a server.

    Raises:
        BadInputError: no file system has this kind of URL, or the package that it needs is not installed.
    """
    from fsspec.core import url_to_fs as find

    try:
        fs, path = _s3(url) if url.startswith("s3://") else find(url)
    except (ValueError, ImportError) as error:
        raise BadInputError(
            f"{url} is no address of a folder ({error}); give a path, or a URL such as s3://bucket/prefix, in the "
            "option or in EVERGREEN_STORE_URL and EVERGREEN_LANDING_URL"
        ) from error
    return fs, str(path)


def no_answer(url: str) -> tuple[type[Exception], ...]:
    """What others' code (DVC) raises if the server of `url` does not answer; ours raises UnavailableError."""
    if not url.startswith("s3://"):
        return (OSError,)
    from botocore.exceptions import BotoCoreError

    return OSError, BotoCoreError


def _s3(url: str) -> tuple[AbstractFileSystem, str]:
    from evergreen.core.store.s3 import S3

    return S3(), S3._strip_protocol(url)
