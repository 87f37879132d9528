#!/usr/bin/env bash
# Builds every package of clients/, installs it from its file, and tests it against a running server:
#   scripts/test-clients.sh BINARY
# BINARY is a contexture program; it serves on a free loopback port, with a data directory of its own that
# is removed afterwards. Everything that is built or installed stays under target/clients. Python and Node
# are used where they are, else installed with apt-get. Linters and type checkers run as well.
set -uo pipefail
[ $# = 1 ] || { echo "usage: scripts/test-clients.sh BINARY" >&2; exit 2; }
binary="$(realpath "$1")"
cd "$(dirname "$0")/.." || exit 1

root="$PWD"
place="$(realpath -m "${CARGO_TARGET_DIR:-target}/clients")"
python_packages="contexture langchain-contexture llama-index-retrievers-contexture contexture-haystack"
server=""
data=""
failed=()

say() { printf 'clients: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Runs a step; a failed one is remembered, and the others run all the same.
step() {
    local name="$1"
    shift
    say "$name"
    "$@" || { say "FAILED: $name"; failed+=("$name"); }
}

stop_server() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null && wait "$server"
        server=""
    fi
    [ -z "$data" ] || rm -rf "$data"
}
trap stop_server EXIT

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo -n "$@"
    else die "needs root to run: $*; install Python 3.11 with venv, and Node 18.17 with npm, yourself"
    fi
}

install() {
    command -v apt-get >/dev/null || die "there is no $1, and no apt-get; install it yourself"
    as_root apt-get update -qq
    say "installing $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null \
        || die "could not install $*"
}

has_python() { python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
has_node() {
    command -v npm >/dev/null && node -e '
        const [major, minor] = process.versions.node.split(".").map(Number);
        process.exit(major > 18 || (major === 18 && minor >= 17) ? 0 : 1)' 2>/dev/null
}

has_python || install python3 python3-venv
has_node || install nodejs npm
has_python || die "Python 3.11 or newer is needed"
has_node || die "Node 18.17 or newer is needed"

# The environment

# An environment of other constraints, or of a Python that is gone, is made anew.
prepare_python() {
    local constraints="$root/clients/python/constraints.txt" stamp
    stamp="$(cat "$constraints" clients/python/*/pyproject.toml | sha256sum | cut -d' ' -f1) $(python3 --version)"
    mkdir -p "$place"
    if [ "$(cat "$place/venv/stamp" 2>/dev/null)" != "$stamp" ]; then
        rm -rf "$place/venv"
        python3 -m venv "$place/venv" || return 1
        "$place/venv/bin/pip" install -q -c "$constraints" build hatchling || return 1
    fi
    rm -rf "$place/dist"
    local package files=()
    for package in $python_packages; do
        # Without isolation the build uses the pinned hatchling.
        "$place/venv/bin/python" -m build --no-isolation --outdir "$place/dist" "clients/python/$package" \
            >"$place/build.log" 2>&1 || { cat "$place/build.log" >&2; return 1; }
        files+=("$place/dist/${package//-/_}"-*.whl)
    done
    if [ ! -e "$place/venv/stamp" ]; then
        # All at once: a package named contexture in an index must not be taken for ours.
        "$place/venv/bin/pip" install -q -c "$constraints" "${files[@]/%/[dev]}" || return 1
        "$place/venv/bin/pip" check || return 1
        printf '%s' "$stamp" >"$place/venv/stamp"
    fi
    # Their version is the same as before, so that pip would keep what is installed.
    "$place/venv/bin/pip" install -q --no-deps --force-reinstall "${files[@]}"
}

prepare_node() {
    (cd clients/typescript && npm ci --silent)
}

# The server

start_server() {
    data="$(mktemp -d "${TMPDIR:-/tmp}/contexture-clients.XXXXXX")"
    "$binary" serve --json --listen 127.0.0.1:0 --data "$data/data" >"$data/ready" 2>"$place/server.log" &
    server=$!
    local end=$((SECONDS + 60)) address=""
    until [ -n "$address" ]; do
        kill -0 "$server" 2>/dev/null || { cat "$place/server.log" >&2; die "the server ended"; }
        [ "$SECONDS" -lt "$end" ] || { cat "$place/server.log" >&2; die "the server was not ready in 60 s"; }
        sleep 0.1
        address="$(sed -n 's/.*"listening":"\([^"]*\)".*/\1/p' "$data/ready")"
    done
    export CONTEXTURE_SERVER="http://$address"
    unset CONTEXTURE_API_KEY
    say "the server listens on $address"
}

# The tests

in_package() {
    local package="$1"
    shift
    (cd "clients/python/$package" && "$place/venv/bin/$1" "${@:2}")
}

# What npm packs must work for whoever installs it: the example runs on the installed file.
test_packed() {
    local user="$place/npm-user"
    rm -rf "$user" && mkdir -p "$user" || return 1
    (cd clients/typescript && npm pack --silent --pack-destination "$place/dist" >/dev/null) || return 1
    cp clients/typescript/build/examples/quickstart.js "$user/quickstart.mjs" || return 1
    (cd "$user" && echo '{"private":true}' >package.json \
        && npm install --silent --no-save "$place/dist"/contexture-client-*.tgz \
        && node quickstart.mjs >/dev/null)
}

prepare_python || die "the Python packages could not be built and installed"
prepare_node || die "the packages that the TypeScript client needs could not be installed"
start_server

for package in $python_packages; do
    step "$package: ruff" in_package "$package" ruff check --no-cache .
    step "$package: format" in_package "$package" ruff format --no-cache --check src tests examples
    step "$package: mypy" in_package "$package" mypy --cache-dir "$place/mypy/$package"
    step "$package: pytest" in_package "$package" pytest -q -p no:cacheprovider
done
step "typescript: generated types" npm --prefix clients/typescript run --silent generate -- --check
step "typescript: tests" npm --prefix clients/typescript test --silent
step "typescript: packed" test_packed

if [ "${#failed[@]}" -gt 0 ]; then
    say "failed: ${failed[*]}"
    say "the server's log: $place/server.log"
    exit 1
fi
say "all passed"
