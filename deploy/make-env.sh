#!/bin/sh
# Write .env for docker-compose.yaml: random passwords and keys, readable by its owner only. `deploy/make-env.sh [FILE]`
# An existing file is never overwritten: the databases know its passwords.
set -eu

file=${1:-$(dirname "$0")/../.env}
if [ -e "$file" ] || [ -L "$file" ]; then
    echo "$file exists, and the databases know its passwords: remove it together with the volumes to start over." >&2
    exit 1
fi
umask 077
temporary=$(mktemp "$file.XXXXXX")
trap 'rm -f "$temporary"' EXIT

# Letters and digits are safe in URLs, in this file and in every shell.
word() {
    text=$(head -c 4096 /dev/urandom | LC_ALL=C tr -dc A-Za-z0-9)
    printf '%.*s' "$1" "$text"
}

{
    echo "# Secrets of this deployment. Back it up: without FERNET_KEY what Airflow encrypted is lost,"
    echo "# without PSEUDONYM_KEY persons get other tokens than before."
    for name in POSTGRES_PASSWORD AIRFLOW_DB_PASSWORD MLFLOW_DB_PASSWORD LEDGER_DB_PASSWORD REDIS_PASSWORD \
        AIRFLOW_ADMIN_PASSWORD MLFLOW_ADMIN_PASSWORD SMTP_PASSWORD MAIL_UI_PASSWORD S3_SECRET_KEY METRICS_TOKEN \
        PSEUDONYM_KEY GRAFANA_ADMIN_PASSWORD ONLINE_TOKEN; do
        echo "$name=$(word 32)"
    done
    echo "S3_ACCESS_KEY=$(word 20)"
    for name in JWT_SECRET API_SECRET_KEY MLFLOW_FLASK_SECRET_KEY; do
        echo "$name=$(word 64)"
    done
    echo "FERNET_KEY=$(head -c 32 /dev/urandom | base64 | tr '+/' '-_')"
    echo
    echo "# Addresses that people see, and who is mailed."
    echo "EVERGREEN_AIRFLOW_URL=http://localhost:8080"
    echo "EVERGREEN_MAIL_FROM=evergreen@localhost"
    echo "EVERGREEN_MAIL_TO=on-call@localhost"
} >"$temporary"
# A link fails where the name exists by now; a rename would replace it.
ln "$temporary" "$file"
echo "$file written, mode 600."
