"""The manifests and the Helm values against what the code and the compose file ask for. No cluster is needed."""

import inspect
import os
import re
import shutil
import subprocess
from itertools import pairwise

import asyncpg
import pytest
import yaml
from airflow.cli.cli_parser import get_parser
from packaging.requirements import Requirement
from sqlalchemy import make_url

from evergreen.loop.online.server import METRICS_TOKEN, TOKEN
from evergreen.settings import PREFIX, Settings
from evergreen.stack.config import airflow_settings
from evergreen.stack.config.home import PROJECT
from evergreen.web.metrics import VARIABLE

FOLDER = PROJECT / "deploy" / "kubernetes"
COMPOSE = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]
REFERENCE = re.compile(r"\$\{(\w+)\}")
SECRET_NAME = re.compile(r"PASSWORD|SECRET|FERNET|ACCESS_KEY|TOKEN|_KEY$|connection|-key$|-secret$")
ELSEWHERE = {  # of the compose file's variables: what only Celery reads, and the queue of its training worker
    "AIRFLOW__CELERY__BROKER_URL", "AIRFLOW__CELERY__RESULT_BACKEND",
    "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT",
    "AIRFLOW__OPERATORS__DEFAULT_QUEUE", "EVERGREEN_TRAINING_QUEUE",
}  # fmt: skip
BY_THE_VALUES = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": "connection-async"}  # the compose file has no TLS
BY_THE_CHART = {  # from the Secret `evergreen-airflow`, by its own names of keys
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "connection",
    "AIRFLOW__CORE__FERNET_KEY": "fernet-key",
    "AIRFLOW__API__SECRET_KEY": "api-secret-key",
    "AIRFLOW__API_AUTH__JWT_SECRET": "jwt-secret",
}


def documents(name):
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


ENVIRONMENT = documents("environment.yaml")[0]
SECRETS = {document["metadata"]["name"]: document["stringData"] for document in documents("secrets.yaml")}
VALUES = yaml.safe_load((PROJECT / "deploy" / "helm" / "values.yaml").read_text())
JOB = documents("init-job.yaml")[0]["spec"]["template"]["spec"]
TRAINING = documents("training-pod.yaml")[0]["spec"]
ONLINE = documents("online.yaml")[0]["spec"]["template"]["spec"]
TASK = ENVIRONMENT["data"] | SECRETS["evergreen-secrets"]


def required():
    names = {PREFIX + field.upper() for field, spec in Settings.model_fields.items() if spec.is_required()}
    return names - {PREFIX + "MLFLOW_URL"} | {"MLFLOW_TRACKING_URI"}


def sources(container):
    """Names of what a container's environment is made of."""
    return {next(iter(source.values()))["name"] for source in container["envFrom"]}


def test_a_task_has_every_variable_that_settings_and_connections_need():
    referenced = set(REFERENCE.findall(str(yaml.safe_load((PROJECT / "airflow_settings.yaml").read_text()))))
    assert referenced
    assert required() | referenced <= {name for name, value in TASK.items() if value}
    assert Settings.from_env(TASK).store_url.startswith("s3://")
    assert "AIRFLOW_CONN_SMTP_DEFAULT" in airflow_settings.load(PROJECT / "airflow_settings.yaml", TASK).environment()


def test_it_is_the_environment_of_the_compose_file():
    compose = COMPOSE["scheduler"]["environment"]
    assert set(compose) <= set(TASK) | ELSEWHERE | set(BY_THE_CHART)
    assert set((BY_THE_CHART | BY_THE_VALUES).values()) == set(SECRETS["evergreen-airflow"])
    same = {name for name in compose if name in ENVIRONMENT["data"] and "://" not in compose[name]}
    ours = {"AIRFLOW__CORE__EXECUTOR"} | {n for n in same if n.startswith(("EVERGREEN_", "MLFLOW_", "AWS_"))}
    differing = {n for n in same if compose[n].strip() != ENVIRONMENT["data"][n].strip()} - ours
    assert differing <= {"AIRFLOW__API__BASE_URL", "AIRFLOW__METRICS__STATSD_HOST"}


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.yaml")))
def test_no_secret_is_written_down(name):
    for document in documents(name):
        for key, value in {**document.get("data", {}), **document.get("stringData", {})}.items():
            if document["kind"] == "Secret":
                assert REFERENCE.search(value), f"{key} is a literal"
            else:
                assert not SECRET_NAME.search(key), f"{key} belongs into a Secret"
    for container in (*JOB["containers"], *TRAINING["containers"], *ONLINE["containers"]):
        assert not [entry for entry in container.get("env", []) if "value" in entry]


def test_the_values_hold_no_secret_and_name_those_that_are_made():
    named = [VALUES["data"]["metadataSecretName"], *(v for k, v in VALUES.items() if k.endswith("SecretName"))]
    named.append(VALUES["jwtSecretName"])
    assert set(named) == {"evergreen-airflow"}
    assert sources({"envFrom": yaml.safe_load(VALUES["extraEnvFrom"])}) == {
        "evergreen-environment",
        "evergreen-secrets",
    }
    assert not re.search(
        r"(?i)(password|secretKey|fernetKey|jwtSecret): *\S", (PROJECT / "deploy/helm/values.yaml").read_text()
    )


def secret_of(entry):
    return entry["name"], entry["valueFrom"]["secretKeyRef"]


def test_both_drivers_check_the_databases_certificate_against_a_file_of_the_image():
    certificates = ENVIRONMENT["data"]["PGSSLROOTCERT"]
    assert "ca-certificates" in (PROJECT / "Dockerfile").read_text().split()
    for url in (SECRETS["evergreen-secrets"]["EVERGREEN_LEDGER_URL"], SECRETS["evergreen-airflow"]["connection"]):
        assert make_url(url).query == {"sslmode": "verify-full", "sslrootcert": certificates}
    url = make_url(SECRETS["evergreen-airflow"]["connection-async"])
    _, arguments = url.get_dialect()().create_connect_args(url)
    assert arguments.keys() <= inspect.signature(asyncpg.connect).parameters.keys() | {"prepared_statement_name_func"}
    assert (url.drivername, arguments["ssl"]) == ("postgresql+asyncpg", "verify-full")
    (entry,) = yaml.safe_load(VALUES["extraEnv"])
    assert secret_of(entry) == (*BY_THE_VALUES, {"name": "evergreen-airflow", "key": "connection-async"})


def test_the_metrics_token_is_the_api_servers_alone():
    (entry,) = VALUES["apiServer"]["env"]
    assert secret_of(entry) == (VARIABLE, {"name": "evergreen-metrics", "key": VARIABLE})
    assert VARIABLE in SECRETS["evergreen-metrics"]
    assert VARIABLE not in TASK
    assert VARIABLE in COMPOSE["api-server"]["environment"]
    assert VARIABLE not in COMPOSE["scheduler"]["environment"]


@pytest.mark.parametrize(
    ("part", "job", "probes"),
    [
        ("scheduler", "SchedulerJob", ("livenessProbe", "startupProbe")),
        ("dagProcessor", "DagProcessorJob", ("livenessProbe",)),
        ("triggerer", "TriggererJob", ("livenessProbe",)),
    ],
)
def test_probes_ask_for_this_pods_own_job_and_call_no_file_of_apaches_image(part, job, probes):
    for probe in probes:
        command = VALUES[part][probe]["command"]
        assert command == ["airflow", "jobs", "check", "--job-type", job, "--local"]
        parsed = get_parser().parse_args(command[1:])
        assert (parsed.job_type, parsed.local) == (job, True)
        assert VALUES[part][probe]["timeoutSeconds"] > 20, "the import of Airflow alone may take that on a busy node"


@pytest.mark.parametrize("part", ["scheduler", "dagProcessor", "triggerer", "workers"])
def test_no_log_groomer_which_is_a_file_of_apaches_image(part):
    assert VALUES[part]["logGroomerSidecar"] == {"enabled": False}


def test_the_values_generated_for_compose_fill_the_secrets():
    script = (PROJECT / "deploy" / "make-env.sh").read_text()
    asked = {name for values in SECRETS.values() for value in values.values() for name in REFERENCE.findall(value)}
    assert {name for name in asked if not re.search(rf"\b{name}\b", script)} == {"FEATURES_GIT_URL"}


def fill(manifest, **variables):
    command = [FOLDER / "fill.sh", FOLDER / manifest]
    return subprocess.run(
        command, env={"PATH": os.environ["PATH"], **variables}, capture_output=True, text=True, check=False
    )


def test_a_manifest_with_an_empty_variable_is_not_written():
    names = {name for values in SECRETS.values() for value in values.values() for name in REFERENCE.findall(value)}
    done = fill("secrets.yaml", **dict.fromkeys(names, "value") | {"PSEUDONYM_KEY": ""})
    assert (done.returncode, done.stdout) == (1, "")
    assert "not set: PSEUDONYM_KEY." in done.stderr
    assert "not set: EVERGREEN_IMAGE." in fill("init-job.yaml").stderr


@pytest.mark.skipif(shutil.which("envsubst") is None, reason="needs envsubst")
def test_a_manifest_is_filled_in_as_it_stands():
    done = fill("init-job.yaml", EVERGREEN_IMAGE="registry/evergreen:1")
    expected = (FOLDER / "init-job.yaml").read_text().replace("${EVERGREEN_IMAGE}", "registry/evergreen:1")
    assert (done.returncode, done.stdout) == (0, expected)


def test_the_steps_of_a_release_replace_the_job_of_the_one_before():
    steps = (PROJECT / "docs" / "deployment.md").read_text().partition("## Kubernetes")[2]
    orders = (
        "kubectl delete job evergreen-init --ignore-not-found",
        "deploy/kubernetes/fill.sh deploy/kubernetes/init-job.yaml",
        "kubectl wait --for=condition=complete job/evergreen-init",
    )
    deleted, made, waited = (steps.index(f"$ {order}") for order in orders)
    assert deleted < made < waited


def test_init_runs_before_the_chart_and_alone_knows_the_administrator():
    (container,) = JOB["containers"]
    assert container["args"] == COMPOSE["init"]["command"]
    assert sources(container) == {"evergreen-environment", "evergreen-secrets", "evergreen-init"}
    assert "AIRFLOW_ADMIN_PASSWORD" in SECRETS["evergreen-init"]
    assert VALUES["migrateDatabaseJob"]["enabled"] is False
    found = {e["name"]: e["valueFrom"]["secretKeyRef"]["key"] for e in container["env"]}
    assert found.items() <= BY_THE_CHART.items()


def test_training_gets_its_own_pod_under_the_workers_account():
    path = ENVIRONMENT["data"]["EVERGREEN_TRAINING_POD_TEMPLATE"]
    assert (PROJECT / path.removeprefix("/opt/evergreen/")).is_file()
    (container,) = TRAINING["containers"]
    assert container["name"] == "base", "the executor fills in the container of this name"
    assert "command" not in container, "the image's entry point makes the connections"
    assert sources(container) == {"evergreen-environment", "evergreen-secrets"}
    assert TRAINING["serviceAccountName"] == VALUES["workers"]["serviceAccount"]["name"]
    assert TRAINING["restartPolicy"] == "Never"
    user = re.search(r"--uid (\d+)", (PROJECT / "Dockerfile").read_text())[1]
    assert {spec["securityContext"]["runAsUser"] for spec in (TRAINING, JOB)} == {int(user)} == {VALUES["uid"]}


def test_predictions_on_request_are_the_compose_files_service():
    deployment, service = documents("online.yaml")
    (container,) = ONLINE["containers"]
    assert container["args"] == COMPOSE["online"]["command"]
    names = sources(container)
    assert names == {"evergreen-environment", "evergreen-secrets", "evergreen-metrics", "evergreen-online"}
    known = ENVIRONMENT["data"].keys() | {key for name in names - {"evergreen-environment"} for key in SECRETS[name]}
    assert {TOKEN, METRICS_TOKEN} <= known & COMPOSE["online"]["environment"].keys()
    assert TOKEN not in TASK, "tasks ask nobody for predictions"
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"] == labels
    (port,) = container["ports"]
    assert (port["containerPort"], port["name"]) == (8600, service["spec"]["ports"][0]["targetPort"])
    probes = ("startupProbe", "readinessProbe", "livenessProbe")
    assert {container[probe]["httpGet"]["path"] for probe in probes} == {"/health", "/ready"}
    assert str(port["containerPort"]) in COMPOSE["online"]["command"]
    assert ONLINE["securityContext"] == JOB["securityContext"]


def test_what_the_executor_needs_is_pinned_beside_the_lock():
    def pins(path):
        lines = [line.split(" ;")[0].removesuffix(" \\") for line in path.read_text().splitlines()]
        return {r.name: r for r in (Requirement(line) for line in lines if re.match(r"[a-z0-9]", line))}

    own, lock = pins(FOLDER / "requirements.txt"), pins(PROJECT / "requirements.lock")
    (asked,) = pins(FOLDER / "requirements.in").values()
    assert next(iter(own[asked.name].specifier)).version.startswith("10.25.")
    assert not own.keys() & lock.keys()
    text = (FOLDER / "requirements.txt").read_text().splitlines()
    assert all("--hash=" in below for line, below in pairwise(text) if re.match(r"[a-z0-9]", line))
    assert VALUES["airflowVersion"] == next(iter(lock["apache-airflow"].specifier)).version
