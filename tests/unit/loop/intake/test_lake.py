"""A lake's table whose place does not answer is no bad table."""

import errno
from concurrent.futures import ThreadPoolExecutor

import pytest

from evergreen.errors import UnavailableError
from evergreen.loop.intake import lake
from evergreen.loop.intake.lake_reader import is_outage


def test_a_server_that_refuses_is_an_outage_and_no_bad_table(monkeypatch):
    pytest.importorskip("deltalake")
    pytest.importorskip("pyiceberg")
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with ThreadPoolExecutor() as pool:  # each tries for some seconds
        tried = {kind: pool.submit(lake.read, "s3://landing/orders/2024-01-01/inputs", kind)
                 for kind in ("delta", "iceberg")}  # fmt: skip
    for kind, found in tried.items():
        with pytest.raises(UnavailableError, match=f"the place of the {kind} table cannot be reached"):
            found.result()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UnavailableError("S3 did not list"), True),
        (TimeoutError(), True),
        (OSError(errno.EIO, "Input/output error"), True),
        (PermissionError(errno.EACCES, "Permission denied"), True),
        (OSError("Kernel error -> Generic S3 error Error performing GET http://s3/b/t/_last_checkpoint"), True),
        (ValueError("External error: Object Store error: Generic S3 error: HTTP error: error sending request"), True),
        (OSError("When reading key 'a': AWS Error NETWORK_CONNECTION during HeadObject operation"), True),
        (FileNotFoundError(errno.ENOENT, "No such file"), False),
        (OSError("Couldn't deserialize thrift: TProtocolException: Invalid data"), False),
        (ValueError("Parquet error: Generic LocalFileSystem error: Requested range was invalid"), False),
        (ValueError("Parquet error: Object at location part-0.parquet not found"), False),
        (KeyError("schemaString"), False),
    ],
)
def test_what_an_error_of_a_library_is_about(error, expected):
    assert is_outage(error) is expected
