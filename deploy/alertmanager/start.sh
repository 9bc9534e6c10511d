#!/bin/sh
# start.sh FOLDER COMMAND...: write FOLDER/alertmanager.yml and its template with this environment's addresses, then become the
# command. The password stays in its file.
set -eu

here=$(dirname "$0")
folder=$1
shift

# Runs of sed's own characters in an address stand for themselves.
value() {
    printf '%s' "$1" | sed 's/[&|\\]/\\&/g'
}

required=true
[ "${EVERGREEN_SMTP_DISABLE_TLS:-false}" != true ] || required=false
for name in alertmanager.yml evergreen.tmpl; do
    sed -e "s|@EVERGREEN_SMTP_HOST@|$(value "$EVERGREEN_SMTP_HOST")|" \
        -e "s|@EVERGREEN_SMTP_PORT@|$(value "$EVERGREEN_SMTP_PORT")|" \
        -e "s|@EVERGREEN_SMTP_USER@|$(value "$EVERGREEN_SMTP_USER")|" \
        -e "s|@EVERGREEN_MAIL_FROM@|$(value "$EVERGREEN_MAIL_FROM")|" \
        -e "s|@EVERGREEN_MAIL_TO@|$(value "$EVERGREEN_MAIL_TO")|" \
        -e "s|@EVERGREEN_AIRFLOW_URL@|$(value "$EVERGREEN_AIRFLOW_URL")|" \
        -e "s|@SMTP_PASSWORD_FILE@|$(value "$SMTP_PASSWORD_FILE")|" \
        -e "s|@SMTP_REQUIRE_TLS@|$required|" \
        -e "s|@TEMPLATES@|$(value "$folder")|" "$here/$name" >"$folder/$name"
done
exec "$@"
