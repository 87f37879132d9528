#!/usr/bin/env bash
# Sends what the OpenAPI description allows, and what it does not, to a running server, and holds every answer
# against the description:
#   scripts/test-openapi.sh BINARY [EXAMPLES]
# EXAMPLES is the number of generated examples per operation and phase, 10 unless given. A server error, and a
# status, header or body that the description does not have, is a failure. The package schemathesis goes to
# target/openapi. Python is used where it is, else installed with apt-get.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: scripts/test-openapi.sh BINARY [EXAMPLES]" >&2; exit 2; }
binary="$(realpath "$1")"
examples="${2:-10}"
cd "$(dirname "$0")/.."

mkdir -p "${CARGO_TARGET_DIR:-target}/openapi"
place="$(realpath "${CARGO_TARGET_DIR:-target}/openapi")"
run="$(mktemp -d "$place/run.XXXXXX")"
server=""

say() { printf 'openapi: %s\n' "$*" >&2; }
stop_server() {
    [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server" || true; }
    rm -rf "$run"
}
trap stop_server EXIT

if ! { command -v python3 && python3 -c 'import ensurepip'; } >/dev/null 2>&1; then
    say "installing Python"
    sudo=""; [ "$(id -u)" = 0 ] || sudo="sudo -n"
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv >/dev/null
fi
version=4.32.5
if [ ! -x "$place/venv/bin/schemathesis" ]; then
    python3 -m venv "$place/venv"
    "$place/venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"
fi

env -i PATH="$PATH" HOME="$run" "$binary" serve --json --listen 127.0.0.1:0 --data "$run/data" >"$run/ready" 2>"$run/log" &
server=$!
end=$((SECONDS + 60))
until [ -s "$run/ready" ]; do
    kill -0 "$server" 2>/dev/null || { cat "$run/log" >&2; say "the server ended"; exit 1; }
    [ "$SECONDS" -lt "$end" ] || { say "the server is not ready after a minute"; exit 1; }
    sleep 0.2
done
address="$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["listening"])' "$run/ready")"

# Something to find, so that not every answer is 404.
curl -sS --fail-with-body -o /dev/null -X POST "http://$address/v1/collections" \
    -H 'content-type: application/json' -d '{"name": "handbook"}'
curl -sS --fail-with-body -o /dev/null -X PUT "http://$address/v1/collections/handbook/documents/leave.md?wait=visible" \
    -H 'content-type: text/markdown' --data-binary '# Leave'

# Left out: the stream of events, which never ends. It keeps files where it runs. One worker, because its threads
# together break the parser of Python 3.11.
hooks="$PWD/tests/openapi"
cd "$run"
PYTHONPATH="$hooks" SCHEMATHESIS_HOOKS=hooks "$place/venv/bin/schemathesis" run "http://$address/openapi.json" \
    --exclude-path '/v1/collections/{collection}/events' \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,unsupported_method \
    --max-examples "$examples" --request-timeout 30 --workers 1 --seed 18 || {
    say "the server's log has"
    grep -E ' (WARN|ERROR) ' "$run/log" | tail -n 20 >&2 || true
    exit 1
}
