# One image for everything of ours: Airflow's processes, the workers, MLflow and the feature repository's Git remote.
# A release pins the base by digest: docker build --build-arg BASE_DIGEST=sha256:...
# No secret goes in: they come with the environment when a container starts.
ARG BASE_IMAGE=python:3.11-slim
ARG BASE_DIGEST=

FROM ${BASE_IMAGE}${BASE_DIGEST:+@${BASE_DIGEST}} AS libraries
RUN python -m venv /opt/venv
COPY requirements.lock /tmp/requirements.lock
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r /tmp/requirements.lock

FROM ${BASE_IMAGE}${BASE_DIGEST:+@${BASE_DIGEST}}
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 50000 --no-create-home --home-dir /opt/airflow --shell /usr/sbin/nologin airflow \
    && install --directory --owner airflow --group airflow --mode 700 /opt/airflow /opt/airflow/logs /srv/git
COPY --from=libraries /opt/venv /opt/venv

# The files stay root's: a task cannot change the code that runs it.
WORKDIR /opt/evergreen
COPY pyproject.toml README.md LICENSE airflow_settings.yaml ./
COPY config config
COPY plugins plugins
COPY dags dags
COPY docs docs
COPY deploy deploy
COPY include include
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --editable . \
    && PYTHONPATH=include /opt/venv/bin/python -c "from evergreen.stack.embedded.features_remote import IDENTITY as i; print(i, end='')" \
        > /opt/evergreen/gitconfig \
    && /opt/venv/bin/python -m compileall -q include config plugins dags

ARG CODE_VERSION=unknown
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/evergreen/include:/opt/evergreen/config:/opt/evergreen/plugins \
    PYTHONHASHSEED=0 \
    PYTHONUNBUFFERED=1 \
    TZ=UTC \
    OMP_NUM_THREADS=1 \
    MPLBACKEND=Agg \
    SPT_NOENV=1 \
    GIT_TERMINAL_PROMPT=0 \
    GIT_CONFIG_GLOBAL=/opt/evergreen/gitconfig \
    GIT_CONFIG_NOSYSTEM=1 \
    DO_NOT_TRACK=true \
    DVC_NO_ANALYTICS=true \
    GX_ANALYTICS_ENABLED=false \
    MLFLOW_DISABLE_TELEMETRY=true \
    SCARF_NO_ANALYTICS=true \
    MLFLOW_LOGGING_LEVEL=WARNING \
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT=true \
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR=false \
    TQDM_DISABLE=1 \
    AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/evergreen/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/evergreen/plugins \
    AIRFLOW__LOGGING__BASE_LOG_FOLDER=/opt/airflow/logs \
    EVERGREEN_MODELS_DIR=/opt/evergreen/include/models \
    EVERGREEN_CODE_VERSION=${CODE_VERSION}

USER airflow
# Adds the connections and variables of airflow_settings.yaml to the environment, then becomes the command.
ENTRYPOINT ["python", "/opt/evergreen/deploy/entrypoint.py"]
CMD ["airflow", "version"]
