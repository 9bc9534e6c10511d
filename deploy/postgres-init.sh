#!/bin/sh
# Run once by the postgres image, on an empty data folder: a role and a database for each part, closed to the others.
# The passwords reach psql through its environment (\getenv), never on a command line.
set -eu

for name in airflow mlflow ledger; do
    psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --set name="$name" \
        --username "$POSTGRES_USER" --dbname postgres <<SQL
\\getenv password $(printf %s "$name" | tr a-z A-Z)_DB_PASSWORD
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
done
