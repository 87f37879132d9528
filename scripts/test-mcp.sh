#!/usr/bin/env bash
# Tests MCP with the official SDKs for Python and TypeScript, in their current and their previous major version:
#   scripts/test-mcp.sh BINARY
# Over HTTP, over stdio to a running server, and over stdio without one. Packages and data go to target/mcp.
# Python and Node are used as they are; where they are missing, Debian's are installed.
set -euo pipefail
[ $# = 1 ] || { echo "usage: scripts/test-mcp.sh BINARY" >&2; exit 2; }
BINARY="$(realpath "$1")"
cd "$(dirname "$0")/.."

tests="$PWD/tests/mcp"
mkdir -p "${CARGO_TARGET_DIR:-target}/mcp"
place="$(realpath "${CARGO_TARGET_DIR:-target}/mcp")"
run="$(mktemp -d "$place/run.XXXXXX")"
server=""

say() { printf 'mcp: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

stop_server() {
    [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server" || true; }
    server=""
}
trap 'stop_server; rm -rf "$run"' EXIT

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo -n "$@"
    else die "needs root to run: $*; install python3 with venv, nodejs and npm yourself"
    fi
}

install() {
    command -v apt-get >/dev/null || die "$* is missing and there is no apt-get; install it yourself"
    say "installing $*"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

{ command -v python3 && python3 -c 'import ensurepip'; } >/dev/null 2>&1 || install python3 python3-venv
{ command -v node && command -v npm; } >/dev/null || install nodejs npm

# Each folder of packages remembers the list it was made from, and is made anew when that changes.
for version in current before; do
    list="$tests/requirements-$version.txt"
    cmp -s "$list" "$place/venv-$version/made-from" && continue
    say "installing the Python SDK, $version"
    rm -rf "$place/venv-$version"
    python3 -m venv "$place/venv-$version"
    "$place/venv-$version/bin/pip" install --quiet --disable-pip-version-check -r "$list"
    cp "$list" "$place/venv-$version/made-from"
done
mkdir -p "$place/ts"
cp "$tests"/*.ts "$tests"/package.json "$tests"/tsconfig.json "$place/ts/"
if ! cmp -s "$tests/package.json" "$place/ts/made-from"; then
    say "installing the TypeScript SDKs"
    (cd "$place/ts" && npm install --silent --no-package-lock --no-audit --no-fund)
    cp "$tests/package.json" "$place/ts/made-from"
fi
(cd "$place/ts" && node_modules/.bin/tsc)

for variable in $(compgen -e | grep '^CONTEXTURE' || true); do unset "$variable"; done
printf '[embedder]\nkind = "hash"\ndims = 64\ntokens_max = 256\n' >"$run/hash.toml"
mkdir "$run/notes"
printf '# Notes\n\nSomebody asked whether days of leave can be sold. They cannot.\n' >"$run/notes/sold.md"
ingest() { "$BINARY" --data "$1" ingest --collection "$2" --pipeline "$run/hash.toml" --json "$3" >/dev/null; }
for data in served free; do
    ingest "$run/$data" handbook "$tests/docs"
    ingest "$run/$data" notes "$run/notes"
done

export MCP_KEY="a-key-for-these-tests-only"
# The BLAKE3 hash of that key.
hash="949536592d6fa52a36bc16aa5ca9ca13e49e1a88c10a719379f4705051a0995f"
printf '[[auth.keys]]\nname = "test"\ntenant = "local"\nscopes = ["read"]\nhash = "%s"\n' "$hash" >"$run/keys.toml"
mkfifo "$run/ready"
"$BINARY" --data "$run/served" --config "$run/keys.toml" serve --listen 127.0.0.1:0 --json >"$run/ready" 2>"$run/log" &
server=$!
exec 3<"$run/ready"
read -r -t 60 ready <&3 || { cat "$run/log" >&2; die "the server did not get ready"; }
MCP_URL="http://$(printf '%s' "$ready" | sed -n 's/.*"listening": *"\([^"]*\)".*/\1/p')"

export BINARY MCP_URL MCP_TEXTS="$run/texts.jsonl" SERVED_DATA="$run/served" FREE_DATA="$run/free"
failed=0
check() {
    local what="$1"
    shift
    timeout 300 "$@" || { say "$what failed"; failed=1; }
}
check "Python, current" "$place/venv-current/bin/python" -X utf8 "$tests/client_current.py"
check "Python, before" "$place/venv-before/bin/python" -X utf8 "$tests/client_before.py"
check "TypeScript, current" node "$place/ts/out/client_current.js"
check "TypeScript, before" node "$place/ts/out/client_before.js"
check "tokens" node "$place/ts/out/count_tokens.js"
stop_server
[ "$failed" = 0 ] || { tail -n 20 "$run/log" >&2; die "failed"; }
say "all passed"
