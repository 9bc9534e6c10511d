"""The compose file against what the code asks for. Nothing here needs Docker."""

import re
import stat
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from evergreen.core.store.page_links import version_page
from evergreen.operations.backup import locations
from evergreen.settings import PREFIX, Settings
from evergreen.stack.cluster import services
from evergreen.stack.config import airflow_settings, credentials, environment
from evergreen.stack.config.home import PROJECT, Home
from evergreen.stack.config.ports import PREFERRED

COMPOSE = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())
SERVICES = COMPOSE["services"]
DOCKERFILE = (PROJECT / "Dockerfile").read_text()
SETTINGS_FILE = PROJECT / "airflow_settings.yaml"
IMAGE = SERVICES["init"]["image"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == IMAGE}
# The entry point of the image reads the settings; a service with another one runs none of the package's stages.
RUNNING_THE_PACKAGE = {name: service for name, service in OURS.items() if "entrypoint" not in service}
LONG_RUNNING = {name: service for name, service in SERVICES.items() if service["restart"] != "no"}
REFERENCE = re.compile(r"\$\{(?P<name>\w+)(?P<rest>[^}]*)\}")
SECRET_NAME = re.compile(r"(PASSWORD|SECRET|FERNET|ACCESS_KEY|_AUTH$)(?!_FILE$)")


@pytest.fixture(scope="module")
def env_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("deploy") / ".env"
    subprocess.run([PROJECT / "deploy/make-env.sh", path], check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def generated(env_file):
    lines = [line for line in env_file.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def expand(value, variables):
    """What compose makes of a value: `${NAME:?message}` must be set, `${NAME:-default}` need not."""

    def found(match):
        name, rest = match["name"], match["rest"]
        return variables.get(name, rest[2:]) if rest.startswith(":-") else variables[name]

    return REFERENCE.sub(found, value)


def image_environment():
    """The variables that the Dockerfile sets in the final image."""
    final = DOCKERFILE.rpartition("FROM ")[2].replace("\\\n", " ")
    declared = " ".join(line.removeprefix("ENV ") for line in final.splitlines() if line.startswith("ENV "))
    return dict(pair.split("=", 1) for pair in declared.split())


def settings_variables():
    names = {PREFIX + field.upper() for field, spec in Settings.model_fields.items() if spec.is_required()}
    return names - {PREFIX + "MLFLOW_URL"} | {"MLFLOW_TRACKING_URI"}


def test_the_file_fits_the_schema_of_the_compose_specification(tmp_path):
    def check(path):
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = check(PROJECT / "docker-compose.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    broken = tmp_path / "compose.yaml"
    broken.write_text("services: {one: {image: x, comand: [y]}}")
    assert "comand" in check(broken).stdout


def test_only_mlflow_and_the_git_remote_pass_by_the_entry_point():
    assert OURS.keys() - RUNNING_THE_PACKAGE.keys() == {"mlflow", "features-git"}


@pytest.mark.parametrize("name", RUNNING_THE_PACKAGE)
def test_each_service_has_every_variable_that_settings_and_connections_need(name, generated):
    env = {k: expand(v, generated) for k, v in RUNNING_THE_PACKAGE[name]["environment"].items()}
    referenced = set(re.findall(r"\$\{(\w+)\}", str(yaml.safe_load(SETTINGS_FILE.read_text()))))
    assert referenced
    assert settings_variables() | referenced <= {key for key, value in env.items() if value}
    settings = Settings.from_env(env)
    assert settings.store_url.startswith("s3://")
    loaded = airflow_settings.load(SETTINGS_FILE, env).environment()
    assert "AIRFLOW_CONN_SMTP_DEFAULT" in loaded
    assert generated["SMTP_PASSWORD"] in loaded["AIRFLOW_CONN_SMTP_DEFAULT"]


def test_a_mail_server_and_a_git_server_of_the_teams_own_are_named_in_the_env_file(generated):
    own = {
        "EVERGREEN_SMTP_HOST": "smtp.example.com",
        "EVERGREEN_SMTP_PORT": "587",
        "EVERGREEN_SMTP_USER": "team",
        "EVERGREEN_SMTP_DISABLE_TLS": "false",
        "EVERGREEN_FEATURES_GIT_URL": "https://user:token@git.example.com/features.git",
    }
    for name, service in {**RUNNING_THE_PACKAGE, "alertmanager": SERVICES["alertmanager"]}.items():
        given, default = (
            {k: expand(v, generated | more) for k, v in service["environment"].items()} for more in (own, {})
        )
        for variable in own.keys() & given.keys():
            assert given[variable] == own[variable], f"{variable} of {name}"
        assert (default["EVERGREEN_SMTP_HOST"], default["EVERGREEN_SMTP_PORT"]) == ("mailpit", "1025")
    needed = [service["depends_on"] for service in SERVICES.values() if "features-git" in service.get("depends_on", {})]
    assert needed
    assert all(how["features-git"]["required"] is False for how in needed), "it is switched off with a Git server"


def test_make_env_writes_exactly_what_the_compose_file_demands(generated):
    text = (PROJECT / "docker-compose.yaml").read_text()
    demanded = {m["name"] for m in REFERENCE.finditer(text) if m["rest"].startswith(":?")}
    mounted = {secret["environment"] for secret in COMPOSE["secrets"].values()}
    assert demanded | mounted == generated.keys()


def test_make_env_is_private_random_and_never_overwrites(env_file, tmp_path):
    make = PROJECT / "deploy/make-env.sh"
    before = env_file.read_text()
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
    again = subprocess.run([make, env_file], capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "exists" in again.stderr
    assert env_file.read_text() == before
    assert list(env_file.parent.iterdir()) == [env_file]
    subprocess.run([make, tmp_path / "other"], check=True, capture_output=True)
    values = [line.split("=", 1)[1] for text in (before, (tmp_path / "other").read_text())
              for line in text.splitlines() if SECRET_NAME.search(line.split("=")[0]) and "=" in line]  # fmt: skip
    assert len(values) > 20
    assert len(set(values)) == len(values)
    assert min(map(len, values)) >= 20


def test_generated_values_are_the_embedded_stacks_and_more(generated):
    assert set(credentials.generate()) <= generated.keys()


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_written_down_or_on_a_command_line(name):
    service = SERVICES[name]
    for key, value in service.get("environment", {}).items():
        credentials_in_url = re.search(r"://[^/@]*:[^@]+@", value)
        if SECRET_NAME.search(key) and value not in ("true", "false"):
            assert REFERENCE.search(value), f"{key} is a literal"
        if credentials_in_url:
            assert REFERENCE.search(credentials_in_url.group()), f"{key} holds a literal password"
    for part in ("command", "entrypoint"):
        assert not REFERENCE.search(str(service.get(part, "")).replace("$$", "")), f"{part} of {name} is seen in `ps`"
    assert not SECRET_NAME.search(str(service.get("build", {}).get("args", {})))


def test_no_secret_goes_into_a_layer():
    assert not [name for name in image_environment() if SECRET_NAME.search(name)]
    assert (PROJECT / ".dockerignore").read_text().splitlines()[1] == "*"


@pytest.mark.parametrize("name", [".env", "evergreen.env"])
def test_files_of_secrets_are_neither_committed_nor_sent_to_the_builder(name):
    ignored = [(PROJECT / file).read_text().split() for file in (".gitignore", ".dockerignore")]
    assert all(any(fnmatch(name, line.removeprefix("**/")) for line in lines if line != "*") for lines in ignored)


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_long_running_services_have_a_health_check_and_limits(name):
    service = LONG_RUNNING[name]
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert service["healthcheck"]["interval"]
    limits = service["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory"}
    assert float(expand(limits["cpus"], {})) <= 2, "Docker refuses what a small host has not got"


def test_the_documented_backup_and_restore_name_what_the_compose_file_uses(generated):
    steps = (PROJECT / "docs" / "deployment.md").read_text().partition("## Backup and restore")[2].partition("\n## ")[0]
    mlflow = SERVICES["mlflow"]
    database = mlflow["environment"]["MLFLOW_BACKEND_STORE_URI"].replace("mlflow@", "mlflow:${MLFLOW_DB_PASSWORD:?}@")
    assert f'{locations.MLFLOW_DATABASE}="{database}"' in steps
    artifacts = mlflow["command"][mlflow["command"].index("--artifacts-destination") + 1]
    assert f"{locations.MLFLOW_ARTIFACTS}={artifacts}" in steps
    assert set(re.findall(r"s/\^(\w+)=//p", steps)) <= generated.keys()
    user = re.search(r"--uid (\d+)", DOCKERFILE)[1]
    assert f"--owner {user} --group {user}" in steps


def test_init_is_the_only_service_that_ends():
    assert SERVICES.keys() - LONG_RUNNING.keys() == {"init"}


def test_dependencies_volumes_networks_and_files_exist():
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            done = how["condition"] == "service_completed_successfully"
            assert (SERVICES[needed]["restart"] == "no") == done, f"{name} waits wrongly for {needed}"
        assert set(service.get("networks", [])) <= {"default", *COMPOSE["networks"]}
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (PROJECT / source).is_file() if source.startswith(".") else source in COMPOSE["volumes"]
        for path in re.findall(r"/opt/evergreen/([\w./-]+)", str(service)):
            assert (PROJECT / path).exists(), f"{name} names {path}"


def test_every_queue_has_a_worker_and_ports_stay_on_this_host():
    commands = [s["command"] for s in RUNNING_THE_PACKAGE.values() if "--queues" in s.get("command", [])]
    asked = {SERVICES["scheduler"]["environment"][name] for name in ("AIRFLOW__OPERATORS__DEFAULT_QUEUE",
                                                                     "EVERGREEN_TRAINING_QUEUE")}  # fmt: skip
    assert {c[c.index("--queues") + 1] for c in commands} == asked == {"default", "training"}
    assert all(port.startswith("127.0.0.1:") for s in SERVICES.values() for port in s.get("ports", []))


def test_the_security_page_names_every_published_port():
    page = (PROJECT / "docs" / "security.md").read_text()
    section = page.partition("## Ports and TLS")[2].partition("| connection")[0]
    published = {port.rsplit(":")[-1] for s in SERVICES.values() for port in s.get("ports", [])}
    assert set(re.findall(r"\b\d{4}\b", section)) == published


def test_no_container_gains_privileges_and_only_two_keep_capabilities():
    assert all(service["security_opt"] == ["no-new-privileges:true"] for service in SERVICES.values())
    kept = {name for name, service in SERVICES.items() if service.get("cap_drop") != ["ALL"]}
    assert kept == {"postgres", "s3"}
    assert SERVICES["redis"]["user"] == "redis", "its command is a shell, which the entry point leaves as root"


def test_the_image_sets_what_the_embedded_stack_sets_for_each_process(tmp_path):
    embedded = environment.environment(Home(tmp_path), PREFERRED, credentials.generate(), {"PATH": "/bin"})
    image = image_environment()
    project = Path("/opt/evergreen")
    ours = {k for k in embedded if not k.startswith(("AIRFLOW", "EVERGREEN_", "MLFLOW_TRACKING_", "MLFLOW_HTTP_"))}
    assert ours <= image.keys()
    differing = {k for k in ours if image[k] != embedded[k]}
    assert differing <= {"PATH", "PYTHONPATH", "GIT_CONFIG_GLOBAL"}
    assert image["PYTHONPATH"] == embedded["PYTHONPATH"].replace(str(PROJECT), str(project))


def cluster_environments(folder, generated):
    place = Home(folder)
    return {s.name: dict(s.env) for s in services.services(place, services.PORTS, generated)}


def test_the_cluster_shape_gives_each_service_the_variables_of_the_compose_file_and_no_other(tmp_path, generated):
    found = cluster_environments(tmp_path, generated)
    for name, service in OURS.items():
        image = image_environment().keys() - {"EVERGREEN_MODELS_DIR"}
        listed = service.get("environment", {}).keys()
        local = {"HOME", "TMPDIR"} | ({"GIT_DAEMON_HOST", "GIT_DAEMON_PORT"} if name == "features-git" else set())
        assert found[name].keys() == listed | image | local, name


def test_the_cluster_shape_changes_addresses_and_folders_only(tmp_path, generated):
    found = cluster_environments(tmp_path, generated)
    at = re.compile(r"(127\.0\.0\.1|localhost):\d+")
    url = "http://127.0.0.1:8080"
    for name, service in RUNNING_THE_PACKAGE.items():
        for key, value in service["environment"].items():
            expected = expand(value, generated | {"EVERGREEN_AIRFLOW_URL": url})
            inside = re.sub(r"\b(postgres|redis|s3|features-git|mlflow|api-server):\d+", "ADDRESS", expected)
            if key.startswith(("EVERGREEN_LEDGER_", "EVERGREEN_SMTP_", "AIRFLOW__METRICS__STATSD_")) and key.endswith(
                ("_HOST", "_PORT")
            ):
                continue
            assert at.sub("ADDRESS", found[name][key]) == at.sub("ADDRESS", inside).replace(
                "/opt/evergreen", str(PROJECT)
            ), key


@pytest.mark.parametrize("own", [{}, {"EVERGREEN_MLFLOW_PAGES_URL": "https://mlflow.example.com",
                                       "EVERGREEN_MLFLOW_PAGES_HOST": "mlflow.example.com"}])  # fmt: skip
def test_mlflow_opens_at_the_address_that_mails_link_to(generated, own):
    env = {k: expand(v, generated | own) for k, v in SERVICES["worker-default"]["environment"].items()}
    page = urlsplit(version_page(Settings.from_env(env), "m", 1))
    server = {k: expand(v, generated | own) for k, v in SERVICES["mlflow"]["environment"].items()}
    answered = server["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert page.netloc in answered
    assert {"mlflow:5000", "localhost:5000", "127.0.0.1:5000"} <= set(answered)
    assert server["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] == f"{page.scheme}://{page.netloc}"
    assert own or page.netloc.split(":")[1] in SERVICES["mlflow"]["ports"][0].split(":"), "it is published there"


def test_the_dockerfile_copies_only_what_dockerignore_lets_through():
    copied = {source for line in DOCKERFILE.splitlines() if line.startswith("COPY ") and "--from" not in line
              for source in line.split()[1:-1]}  # fmt: skip
    admitted = {line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == admitted
    assert all((PROJECT / source).exists() for source in copied)
    assert DOCKERFILE.index("USER airflow") < DOCKERFILE.index("ENTRYPOINT")
