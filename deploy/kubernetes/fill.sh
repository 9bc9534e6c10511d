#!/bin/sh
# fill.sh MANIFEST: the manifest with each ${NAME} replaced by the environment's NAME, on standard output. Where one is unset or
# empty nothing is written: an empty key would silently take the place of the one under which data was kept.
set -eu

missing=
for name in $(grep -v '^ *#' "$1" | grep -o '\${[A-Z0-9_]*}' | tr -d '${}' | sort -u); do
    eval "value=\${$name:-}"
    [ -n "$value" ] || missing="$missing $name"
done
if [ -n "$missing" ]; then
    echo "$1 names variables that are not set:$missing. Nothing was written; docs/deployment.md (Kubernetes) has the steps." >&2
    exit 1
fi
exec envsubst <"$1"
