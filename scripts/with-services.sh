#!/usr/bin/env bash
# Runs a command with a RabbitMQ on 127.0.0.1:5672 and a Postgres on 127.0.0.1:5432:
#   scripts/with-services.sh COMMAND [ARGUMENT…]
# What answers on its port is used as it is. What does not is started with docker compose where an
# engine runs, else from Debian's packages (installed with apt-get if they are missing), and
# stopped again when the command has ended. A service named by CONTEXTURE_TEST_AMQP_URL or
# CONTEXTURE_TEST_POSTGRES_URL is never started.
set -euo pipefail
cd "$(dirname "$0")/.."

place="${CARGO_TARGET_DIR:-target}/services"
started=()

say() { printf 'services: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# await PORT SECONDS
await() {
    local end=$((SECONDS + $2))
    until answers "$1"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.5
    done
}

stop_started() {
    local service
    for service in ${started[@]+"${started[@]}"}; do
        say "stopping $service"
        "stop_$service" || say "$service did not stop cleanly"
    done
}
trap stop_started EXIT

docker_runs() { command -v docker >/dev/null && docker info >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo -n "$@"
    else die "needs root to run: $*; start RabbitMQ and Postgres yourself, or name them in CONTEXTURE_TEST_AMQP_URL and CONTEXTURE_TEST_POSTGRES_URL"
    fi
}

updated=no
install() {
    command -v apt-get >/dev/null \
        || die "no $1 answers, no docker engine runs and there is no apt-get; start it yourself"
    [ "$updated" = yes ] || { as_root apt-get update -qq; updated=yes; }
    say "installing $1"
    # Debian starts what it installs; here the port is taken only by what this script starts.
    as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "$1" >/dev/null
}

start_rabbitmq() {
    if docker_runs; then
        docker compose -f docker-compose.yml up -d --wait rabbitmq >&2
        return
    fi
    command -v rabbitmq-server >/dev/null || [ -x /usr/sbin/rabbitmq-server ] || install rabbitmq-server
    answers 5672 || as_root "$(command -v rabbitmq-server || echo /usr/sbin/rabbitmq-server)" -detached
    await 5672 120 || die "RabbitMQ did not come up on port 5672"
}

stop_rabbitmq() {
    if docker_runs; then docker compose -f docker-compose.yml stop rabbitmq >&2; return; fi
    as_root rabbitmqctl --quiet stop
}

postgres_bin() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1; }
as_postgres() {
    if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

# A cluster of its own, without passwords, on loopback only; the system's clusters stay as they are.
start_postgres() {
    if docker_runs; then
        docker compose -f docker-compose.yml up -d --wait postgres >&2
        return
    fi
    [ -n "$(postgres_bin)" ] || install postgresql
    answers 5432 && return
    cluster="$(mktemp -d "${TMPDIR:-/tmp}/contexture-postgres.XXXXXX")"
    [ "$(id -u)" != 0 ] || chown postgres "$cluster"
    as_postgres "$(postgres_bin)/initdb" -D "$cluster/data" -U postgres -A trust -E UTF8 >/dev/null
    as_postgres "$(postgres_bin)/pg_ctl" -D "$cluster/data" -l "$cluster/log" -w \
        -o "-h 127.0.0.1 -p 5432 -k $cluster" start >/dev/null
    await 5432 60 || die "Postgres did not come up on port 5432"
}

stop_postgres() {
    if docker_runs; then docker compose -f docker-compose.yml stop postgres >&2; return; fi
    [ -n "${cluster:-}" ] || return 0
    as_postgres "$(postgres_bin)/pg_ctl" -D "$cluster/data" -m fast -w stop >/dev/null
    as_root rm -rf "$cluster"
}

# ensure SERVICE PORT URL_VARIABLE
ensure() {
    if [ -n "${!3:-}" ]; then say "$1: named by $3"
    elif answers "$2"; then say "$1: found on port $2"
    else
        say "$1: none on port $2, starting one"
        "start_$1"
        started+=("$1")
    fi
}

mkdir -p "$place"
ensure rabbitmq 5672 CONTEXTURE_TEST_AMQP_URL
ensure postgres 5432 CONTEXTURE_TEST_POSTGRES_URL
"$@"
