"""The feature repository on real Git and DVC remotes: written by many, read from anywhere."""

import base64
import hashlib
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from http.server import CGIHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from evergreen.core.feature_repository import git
from evergreen.core.feature_repository.git import SKELETON
from evergreen.core.feature_repository.snapshots import dvc_path, publish, read_frame, read_frames
from evergreen.errors import BadInputError, UnavailableError
from evergreen.settings import Settings

pytestmark = pytest.mark.integration


@pytest.fixture
def remotes(feature_remotes, tmp_path) -> Settings:
    """Settings of which only the two URLs of the feature repository lead anywhere; the repository is empty."""
    bare, dvc = tmp_path / "empty.git", tmp_path / "empty-dvc"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(bare)], check=True)
    return Settings(
        ledger_url="postgresql://nowhere", store_url="file:///nowhere", landing_url="file:///nowhere",
        features_git_url=str(bare), features_dvc_url=str(dvc), mlflow_url="http://nowhere", models_dir=tmp_path,
        airflow_url="http://nowhere",
    )  # fmt: skip


def put(settings: Settings, folder: Path, key: str, *values: float):
    """Publish a file with one column; what `publish` says."""
    file = folder / f"{key}-{os.getpid()}.parquet"
    pq.write_table(pa.table({"value": pa.array(values, pa.float64()), "name": ["x"] * len(values)}), file)
    return publish(settings, dvc_path("shop", key), file, f"shop {key}")


def get(settings: Settings, published, key: str) -> list[float]:
    return read_frame(settings, published.git_commit, dvc_path("shop", key))["value"].tolist()


def bare(settings: Settings) -> Path:
    return Path(settings.features_git_url.get_secret_value())


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_publication_makes_the_repository(remotes, tmp_path):
    published = put(remotes, tmp_path, "2024-01-01", 1, 2)
    files = run("git", "ls-tree", "-r", "--name-only", "main", cwd=bare(remotes)).split()
    assert set(files) == {*SKELETON, "shop/2024-01-01.parquet.dvc"}
    config = run("git", "show", "main:.dvc/config", cwd=bare(remotes))
    assert "analytics = false" in config
    assert remotes.features_dvc_url not in config
    assert get(remotes, published, "2024-01-01") == [1, 2]


def test_every_version_stays_readable_at_its_commit(remotes, tmp_path):
    first = put(remotes, tmp_path, "2024-01-01", 1)
    put(remotes, tmp_path, "2024-01-02", 5)
    second = put(remotes, tmp_path, "2024-01-01", 2)
    assert get(remotes, first, "2024-01-01") == [1]
    assert get(remotes, second, "2024-01-01") == [2]
    assert get(remotes, second, "2024-01-02") == [5]
    paths = [dvc_path("shop", "2024-01-01"), dvc_path("shop", "2024-01-02")]
    frames = read_frames(remotes, second.git_commit, paths, ["value"])
    assert [frames[path].columns.tolist() for path in paths] == [["value"], ["value"]]
    assert [frames[path]["value"].tolist() for path in paths] == [[2], [5]]


def test_a_past_snapshot_is_read_from_a_fresh_folder_with_nothing_but_the_urls(remotes, tmp_path):
    first = put(remotes, tmp_path, "2024-01-01", 1)
    put(remotes, tmp_path, "2024-01-01", 2)
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    program = (
        "import os\nfrom evergreen.core.feature_repository.snapshots import read_frame\n"
        "from evergreen.settings import Settings\n"
        "print(read_frame(Settings.from_env(), os.environ['COMMIT'], 'shop/2024-01-01.parquet',"
        " dvc_hash=os.environ['MD5'])['value'].tolist())"
    )
    env = {
        "PATH": os.environ["PATH"], "HOME": str(fresh), "COMMIT": first.git_commit, "MD5": first.dvc_hash,
        "MLFLOW_TRACKING_URI": "http://nowhere",
    }  # fmt: skip
    for name in Settings.model_fields:
        value = getattr(remotes, name)
        env[f"EVERGREEN_{name.upper()}"] = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=fresh, env=env, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[1.0]", "")


def test_a_person_with_git_and_dvc_can_look_at_a_snapshot(remotes, tmp_path):
    first = put(remotes, tmp_path, "2024-01-01", 1)
    put(remotes, tmp_path, "2024-01-01", 2)
    clone = tmp_path / "clone"
    run("git", "clone", "--quiet", str(bare(remotes)), str(clone), cwd=tmp_path)
    run("git", "checkout", "--quiet", first.git_commit, cwd=clone)
    dvc = str(Path(sys.executable).with_name("dvc"))
    run(dvc, "remote", "add", "--quiet", "--local", "--default", "store", remotes.features_dvc_url, cwd=clone)
    run(dvc, "pull", "--quiet", "shop/2024-01-01.parquet", cwd=clone)
    assert pd.read_parquet(clone / "shop" / "2024-01-01.parquet")["value"].tolist() == [1]
    assert run("git", "status", "--porcelain", cwd=clone) == ""


def test_the_same_bytes_are_not_committed_again(remotes, tmp_path):
    first = put(remotes, tmp_path, "2024-01-01", 1)
    again = put(remotes, tmp_path, "2024-01-01", 1)
    assert (again.new, again.git_commit, again.dvc_hash) == (False, first.git_commit, first.dvc_hash)


def test_data_that_the_remote_lost_comes_back_with_the_next_publication(remotes, tmp_path):
    first = put(remotes, tmp_path, "2024-01-01", 1)
    shutil.rmtree(remotes.features_dvc_url)
    with pytest.raises(UnavailableError, match="did not give the features"):
        get(remotes, first, "2024-01-01")
    put(remotes, tmp_path, "2024-01-01", 1)
    assert get(remotes, first, "2024-01-01") == [1]


def test_damaged_data_is_never_handed_out(remotes, tmp_path):
    published = put(remotes, tmp_path, "2024-01-01", 1)
    stored = Path(remotes.features_dvc_url, "files", "md5", published.dvc_hash[:2], published.dvc_hash[2:])
    stored.chmod(0o644)
    stored.write_bytes(stored.read_bytes()[:-1] + b"X")
    with pytest.raises(UnavailableError, match=f"other bytes .* MD5 {published.dvc_hash}"):
        get(remotes, published, "2024-01-01")


@pytest.mark.parametrize(
    ("commit", "path", "md5", "said"),
    [
        ("0" * 40, "shop/2024-01-01.parquet", None, "has no commit"),
        ("--upload-pack=touch x", "shop/2024-01-01.parquet", None, "is not a Git commit"),
        ("main", "shop/2024-01-01.parquet", None, "is not a Git commit"),
        (None, "shop/2024-01-08.parquet", None, "holds no shop/2024-01-08.parquet"),
        (None, "shop/2024-01-01.parquet", "0" * 32, "not 0000"),
    ],
)
def test_a_wrong_snapshot_id_is_said(remotes, tmp_path, commit, path, md5, said):
    published = put(remotes, tmp_path, "2024-01-01", 1)
    with pytest.raises(BadInputError, match=said):
        read_frame(remotes, commit or published.git_commit, path, dvc_hash=md5)


def test_a_failed_upload_leaves_git_as_it_was_and_says_why(remotes, tmp_path):
    put(remotes, tmp_path, "2024-01-01", 1)
    before = run("git", "rev-parse", "main", cwd=bare(remotes))
    (tmp_path / "file").write_text("")
    away = remotes.model_copy(update={"features_dvc_url": str(tmp_path / "file" / "dvc")})
    with pytest.raises(UnavailableError, match=r"did not take shop/2024-01-02\.parquet: .*NotADirectory"):
        put(away, tmp_path, "2024-01-02", 1)
    assert run("git", "rev-parse", "main", cwd=bare(remotes)) == before


def test_a_remote_that_takes_nothing_is_not_asked_again(remotes, tmp_path):
    put(remotes, tmp_path, "2024-01-01", 1)
    hook = bare(remotes) / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho closed for the night >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(UnavailableError, match="closed for the night"):
        put(remotes, tmp_path, "2024-01-02", 1)


def test_who_loses_the_race_commits_on_top_of_the_winner(remotes, tmp_path):
    put(remotes, tmp_path, "2024-01-01", 1)
    with git.open_remote(str(bare(remotes))) as slow:
        tip = slow.fetch_tip()
        put(remotes, tmp_path, "2024-01-02", 2)
        assert not slow.push(slow.commit(tip, {"shop/late": b"x"}, "late"))
        assert slow.push(slow.commit(slow.fetch_tip(), {"shop/late": b"x"}, "late"))
    files = run("git", "ls-tree", "-r", "--name-only", "main", "shop/", cwd=bare(remotes)).split()
    assert files == ["shop/2024-01-01.parquet.dvc", "shop/2024-01-02.parquet.dvc", "shop/late"]


@pytest.mark.parametrize("begun", [False, True], ids=["empty repository", "repository in use"])
def test_processes_that_publish_at_once_all_succeed(remotes, tmp_path, begun):
    if begun:
        put(remotes, tmp_path, "2023-12-31", 1)
    context = multiprocessing.get_context("fork")
    together = context.Barrier(3)

    def work(month: int) -> None:
        together.wait(60)
        for day in range(1, 6):
            put(remotes, tmp_path, f"2024-{month:02}-{day:02}", month, day)

    processes = [context.Process(target=work, args=(month,)) for month in (1, 2, 3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    newest = run("git", "rev-parse", "main", cwd=bare(remotes)).strip()
    assert len(run("git", "rev-list", "main", cwd=bare(remotes)).split()) == 15 + begun
    keys = [(month, day) for month in (1, 2, 3) for day in range(1, 6)]
    paths = {dvc_path("shop", f"2024-{month:02}-{day:02}"): [month, day] for month, day in keys}
    frames = read_frames(remotes, newest, list(paths))
    assert {path: frame["value"].tolist() for path, frame in frames.items()} == paths


def test_nothing_is_left_in_the_temporary_folder(remotes, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    get(remotes, put(remotes, tmp_path, "2024-01-01", 1), "2024-01-01")
    assert list(scratch.iterdir()) == []


def test_git_hooks_and_settings_of_whoever_started_this_process_do_not_matter(remotes, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    assert get(remotes, put(remotes, tmp_path, "2024-01-01", 1), "2024-01-01") == [1]


PASSWORD = "s3cret/with:signs"


class Handler(CGIHTTPRequestHandler):
    """Git's own HTTP backend behind a password."""

    def do_GET(self) -> None:
        wanted = "Basic " + base64.b64encode(f"worker:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        length = int(self.headers.get("Content-Length") or 0)
        env = {
            **os.environ, "GIT_PROJECT_ROOT": self.server.root, "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
            "QUERY_STRING": query, "REQUEST_METHOD": self.command, "REMOTE_USER": "worker",
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(length),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }  # fmt: skip
        command = ["git", "http-backend"]
        answer = subprocess.run(command, env=env, input=self.rfile.read(length), capture_output=True, check=True).stdout
        head, _, body = answer.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(remotes):
    """The repository over HTTP; its address without credentials."""
    run("git", "config", "http.receivepack", "true", cwd=bare(remotes))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.root = str(bare(remotes).parent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}/{bare(remotes).name}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_password_in_the_url_works_and_is_on_no_command_line_nor_in_an_error(remotes, server, tmp_path, monkeypatch):
    trace = tmp_path / "trace"
    monkeypatch.setenv("GIT_TRACE", str(trace))
    quoted = PASSWORD.replace("/", "%2F").replace(":", "%3A")

    def over_http(password: str) -> Settings:
        return remotes.model_copy(update={"features_git_url": SecretStr(f"http://worker:{password}@{server}")})

    published = put(over_http(quoted), tmp_path, "2024-01-01", 1)
    assert get(over_http(quoted), published, "2024-01-01") == [1]
    with pytest.raises(UnavailableError, match="Authentication failed") as caught:
        put(over_http("wr0ng"), tmp_path, "2024-01-01", 1)
    seen = trace.read_text() + str(caught.value)
    assert "remote-http" in seen
    assert not [secret for secret in (PASSWORD, quoted, "wr0ng", "worker:") if secret in seen]


def test_the_md5_is_that_of_the_bytes(remotes, tmp_path):
    file = tmp_path / "file.parquet"
    pq.write_table(pa.table({"value": [1.0]}), file)
    expected = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    assert publish(remotes, dvc_path("shop", "2024-01-01"), file, "shop").dvc_hash == expected
