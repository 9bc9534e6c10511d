#!/bin/sh
# Serve the feature repository's bare remote at git://HOST/features.git; create it where there is none yet.
# git:// has no login: anybody who reaches this port may write. docker-compose.yaml lets only our own containers reach it.
set -eu

root=${1:-/srv/git}
python -c 'import sys; from pathlib import Path; from evergreen.stack.embedded.features_remote import create_features_remote
create_features_remote(Path(sys.argv[1]))' "$root/features.git"
exec git daemon --reuseaddr --export-all --enable=receive-pack --base-path="$root" --port="${GIT_DAEMON_PORT:-9418}" \
    ${GIT_DAEMON_HOST:+--listen="$GIT_DAEMON_HOST"} \
    --log-destination=stderr "$root/features.git"
