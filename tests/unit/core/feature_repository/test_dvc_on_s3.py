"""A DVC remote on S3 whose server is away: one error that names it, whatever DVC was asked."""

import pytest

from evergreen.core.feature_repository.dvc_remote import scratch
from evergreen.errors import UnavailableError

MD5 = "202cb962ac59075b964b07152d234b70"
POINTER = f"outs:\n- md5: {MD5}\n  size: 3\n  hash: md5\n  path: week.parquet\n".encode()


def push(remote):
    remote.path("nyc/week.parquet").write_bytes(b"123")
    return remote.push("nyc/week.parquet")


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (push, "did not take nyc/week.parquet"),
        (lambda remote: remote.pull({"nyc/week.parquet": POINTER}), "did not give the features"),
        (lambda remote: remote.sizes([MD5]), "did not answer about its objects"),
        (lambda remote: remote.remove([MD5]), "did not answer about its objects"),
    ],
    ids=["push", "pull", "sizes", "remove"],
)
def test_a_server_that_is_away_is_named(monkeypatch, ask, said):
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1", "NO_PROXY": "127.0.0.1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with (
        scratch("s3://bucket/features") as remote,
        pytest.raises(UnavailableError, match=f"s3://bucket/features {said}.*EVERGREEN_FEATURES_DVC_URL"),
    ):
        ask(remote)
