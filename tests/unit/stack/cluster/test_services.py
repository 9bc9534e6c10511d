"""The cluster shape as it would start: commands, folders, order, and what it refuses. Nothing is started here."""

import os
import shutil
import stat
from pathlib import Path

import pytest
import yaml

from evergreen.core.store.page_links import version_page
from evergreen.errors import SettingsError
from evergreen.settings import Settings
from evergreen.stack.cluster import compose_file, services
from evergreen.stack.config import credentials
from evergreen.stack.config.home import PROJECT, Home
from evergreen.stack.control import Stack
from evergreen.stack.process import state as states
from evergreen.stack.process.state import StackState
from evergreen.stack.shapes import SHAPES

FILE = yaml.safe_load(services.COMPOSE.read_text())["services"]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    path = tmp_path_factory.mktemp("secrets") / "secrets.env"
    services.create_secrets(path)
    return credentials.load(path)


def programs(folder, *names):
    """A folder for the search path with programs of these names; nothing here starts them."""
    folder.mkdir()
    if setpriv := shutil.which("setpriv"):  # PostgreSQL's command asks for it
        (folder / "setpriv").symlink_to(setpriv)
    for name in names:
        (folder / name).touch(0o755)
    return str(folder)


@pytest.fixture
def made(tmp_path, secrets, monkeypatch):
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", "prometheus", "alertmanager"), prepend=os.pathsep)
    (tmp_path / "home").mkdir()
    return {s.name: s for s in services.services(Home(tmp_path / "home"), services.PORTS, secrets)}


def test_every_service_of_the_compose_file_is_started_after_those_it_needs(made):
    assert made.keys() == FILE.keys() - {"grafana"} | {"databases"}
    for name, spec in FILE.items():
        if name == "grafana":
            continue
        needs = {"databases" if n == "postgres" else n for n in spec.get("depends_on", {})}
        assert set(made[name].needs) == needs


def test_only_init_and_the_databases_end(made):
    assert {name for name, service in made.items() if service.once} == {"init", "databases"}


def test_commands_are_the_compose_files_with_other_addresses(made):
    for name in ("scheduler", "dag-processor", "triggerer", "worker-default", "worker-training"):
        assert list(made[name].argv) == ["python", f"{PROJECT}/deploy/entrypoint.py", *FILE[name]["command"]]
    assert made["api-server"].argv[-4:] == ("--host", "127.0.0.1", "--port", "8080")
    assert "-s3.port=8333" in made["s3"].argv
    assert made["mlflow"].argv[:4] == ("python", "-m", "mlflow", "server")
    assert "s3://evergreen/mlflow" in made["mlflow"].argv
    assert made["postgres"].argv[-6:] == tuple(FILE["postgres"]["command"][1:])


def test_nothing_of_the_containers_world_is_left(made):
    foreign = (
        "/opt/evergreen", "@postgres:", "@redis:", "//s3:", "//mlflow:", "//api-server:", "0.0.0.0", "=/data", "=/etc/",
        "=:9", "=/prometheus", "=/alertmanager", "/run/secrets",
    )  # fmt: skip
    for service in made.values():
        for text in (*service.argv, *service.check, *service.env.values()):
            assert not any(word in text for word in foreign), f"{service.name}: {text}"


def test_every_health_check_is_the_compose_files(made):
    for name, spec in FILE.items():
        test = spec.get("healthcheck", {}).get("test", ["NONE"])[1:]
        if name in ("mailpit", "grafana") or not test:  # the mail catcher of ours is asked over SMTP
            continue
        words = [w for w in " ".join(test).split() if not any(c.isdigit() for c in w) and "/" not in w]
        assert words
        assert [w for w in words if w not in " ".join(made[name].check)] == [], name


def test_people_reach_mlflow_and_the_commands_airflow_on_this_machine(tmp_path, secrets):
    ports = {**services.PORTS, "mlflow": 5678, "airflow": 8765}
    named = {s.name: s for s in services.services(Home(tmp_path), ports, secrets)}
    settings = Settings.from_env(named["worker-default"].env)
    assert version_page(settings, "m", 3) == "http://localhost:5678/#/models/m/versions/3"
    assert "localhost:5678" in named["mlflow"].env["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert settings.airflow_internal_url == "http://127.0.0.1:8765"


def test_workers_share_no_folder_with_anyone(made):
    ours = [s for name, s in made.items() if name not in ("postgres", "databases", "mailpit")]
    assert len({s.folder for s in ours}) == len(ours)
    for service in ours:
        for variable in ("HOME", "TMPDIR", "AIRFLOW_HOME", "AIRFLOW__LOGGING__BASE_LOG_FOLDER"):
            assert service.env[variable].startswith(str(service.folder))
    env = made["worker-default"].env
    for variable in ("STORE_URL", "LANDING_URL", "FEATURES_DVC_URL"):
        assert env[f"EVERGREEN_{variable}"].startswith("s3://")
    assert env["AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER"].startswith("s3://")


def test_no_secret_is_on_a_command_line(made, secrets):
    hidden = [v for name, v in secrets.items() if not name.startswith("EVERGREEN_")]
    assert len(hidden) > 10
    lines = " ".join(word for s in made.values() for word in (*s.argv, *s.check))
    assert not [value for value in hidden if value in lines]


def test_the_shell_steers_nothing(tmp_path, secrets, monkeypatch):
    for name in (
        "EVERGREEN_STORE_URL",
        "AIRFLOW__CORE__EXECUTOR",
        "MLFLOW_TRACKING_URI",
        "AWS_ACCESS_KEY_ID",
        "PGHOST",
    ):
        monkeypatch.setenv(name, "elsewhere")
    made = services.services(Home(tmp_path), services.PORTS, secrets)
    joined = services.environment(Home(tmp_path), services.PORTS, secrets)
    for env in (joined, *(s.env for s in made)):
        assert "elsewhere" not in env.values()
    assert Settings.from_env(joined).store_url == "s3://evergreen/store"
    assert joined["AIRFLOW_CONN_SMTP_DEFAULT"]


def test_a_missing_program_is_named_with_its_package(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match=r"redis-server \(Debian: redis-server\)"):
        services.require_programs()


def test_what_the_machine_cannot_watch_with_is_left_out_and_said(tmp_path, secrets, monkeypatch):
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", "prometheus"))
    (tmp_path / "home").mkdir()
    names = {s.name for s in services.services(Home(tmp_path / "home"), services.PORTS, secrets)}
    assert FILE.keys() - names == {"alertmanager", "grafana"}
    said = SHAPES["cluster"].left_out()
    assert said.keys() == {"alertmanager", "grafana"}
    assert "Debian: prometheus-alertmanager" in said["alertmanager"]
    assert SHAPES["embedded"].left_out() == {}


def test_prometheus_and_alertmanager_find_their_files_with_this_machines_addresses(made, secrets, tmp_path):
    prometheus = tmp_path / "home" / "parts" / "prometheus" / "files"
    config = yaml.safe_load((prometheus / "prometheus.yml").read_text())
    assert f"--config.file={prometheus / 'prometheus.yml'}" in made["prometheus"].argv
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    at = services.PORTS
    assert targets == {
        "evergreen": [f"127.0.0.1:{at['airflow']}"],
        "online": [f"127.0.0.1:{at['online']}"],
        "airflow": [f"127.0.0.1:{at['statsd_web']}"],
        "prometheus": [f"127.0.0.1:{at['prometheus']}"],
        "alertmanager": [f"127.0.0.1:{at['alertmanager']}"],
    }
    token = Path(config["scrape_configs"][0]["authorization"]["credentials_file"])
    assert (token.read_text(), stat.S_IMODE(token.stat().st_mode)) == (secrets["METRICS_TOKEN"], 0o600)
    for rules in config["rule_files"]:
        assert (prometheus / rules).is_file()
    password = Path(made["alertmanager"].env["SMTP_PASSWORD_FILE"])
    assert password.read_text() == secrets["SMTP_PASSWORD"]
    assert os.access(made["alertmanager"].argv[0], os.X_OK)


def test_a_folder_keeps_its_shape(tmp_path):
    states.write(tmp_path / "stack.json", StackState(ports={"airflow": 8080}))
    with pytest.raises(SettingsError, match="has the shape embedded"):
        _ = Stack(Home(tmp_path), shape="cluster").shape
    assert Stack(Home(tmp_path)).shape.name == "embedded"
    assert Stack(Home(tmp_path / "new"), shape="cluster").shape.name == "cluster"


def test_a_state_that_knows_no_shape_is_embedded(tmp_path):
    states.write(tmp_path / "stack.json", StackState(ports={"airflow": 8080}))
    text = (tmp_path / "stack.json").read_text().replace('"shape": "embedded",', "")
    assert "shape" not in text
    (tmp_path / "stack.json").write_text(text)
    assert states.read(tmp_path / "stack.json").shape == "embedded"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$$HOME", "$HOME"),
        ("a${A:?say so}c", "abc"),
        ("${B:-default}", "default"),
        ("${A:-default}", "b"),
    ],
)
def test_variables_are_filled_in_as_docker_does(text, expected):
    assert compose_file.fill(text, {"A": "b"}, "here") == expected


def test_a_dependency_that_is_not_required_may_be_missing(tmp_path, secrets):
    known = compose_file.read(services.COMPOSE, secrets | {"EVERGREEN_AIRFLOW_URL": "http://here"})
    assert "features-git" in known["worker-default"].needs
    document = yaml.safe_load(services.COMPOSE.read_text())
    del document["services"]["features-git"]
    (tmp_path / "compose.yaml").write_text(yaml.safe_dump(document))
    without = compose_file.read(tmp_path / "compose.yaml", secrets | {"EVERGREEN_AIRFLOW_URL": "http://here"})
    assert set(known["worker-default"].needs) - set(without["worker-default"].needs) == {"features-git"}


def test_a_variable_that_is_not_set_is_an_error_with_the_files_words():
    with pytest.raises(SettingsError, match=r"here names \$\{A\}, which is not set: run deploy/make-env.sh"):
        compose_file.fill("${A:?run deploy/make-env.sh}", {}, "here")


def test_the_celery_executor_can_be_imported():
    """Celery 5.7 took away what the provider imports, and no other test loads it."""
    from airflow.providers.celery.executors.celery_executor import CeleryExecutor

    assert not CeleryExecutor.is_local
