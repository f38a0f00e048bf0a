#!/bin/sh
# A throw-away PostgreSQL for the tests.
#
#   eval "$(scripts/test-postgres.sh start)"   starts one (or finds the one it started) and sets CALY_TEST_POSTGRES_URL
#   scripts/test-postgres.sh url               prints the URL of the one that runs
#   scripts/test-postgres.sh stop              stops it and removes its files
#
# With CALY_TEST_POSTGRES_URL already set, start prints it back and touches nothing. The programs are looked for in
# PATH and in /usr/lib/postgresql; if there are none, Debian's package is installed (only as root). PostgreSQL refuses
# to run as root, so root runs it as the user postgres, or nobody.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
# One cluster a checkout: its directory is named after where the checkout lies.
name=caly-test-postgres-$(printf %s "$here" | cksum | cut -d' ' -f1)
base=${TMPDIR:-/tmp}/$name

fail() { printf 'test-postgres: %s\n' "$*" >&2; exit 1; }

find_programs() {
    for directory in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -rn) \
        "$(dirname -- "$(readlink -f "$(command -v initdb 2>/dev/null || echo /none)")")"; do
        if [ -x "$directory/initdb" ] && [ -x "$directory/pg_ctl" ] && [ -x "$directory/postgres" ]; then
            printf %s "$directory"
            return 0
        fi
    done
    return 1
}

install_programs() {
    [ "$(id -u)" = 0 ] || fail "no PostgreSQL found: install it (apt-get install postgresql) or set CALY_TEST_POSTGRES_URL"
    command -v apt-get >/dev/null || fail "no PostgreSQL and no apt-get: install PostgreSQL or set CALY_TEST_POSTGRES_URL"
    echo 'test-postgres: installing the package postgresql' >&2
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends postgresql; } >&2 ||
        fail "apt-get could not install postgresql: install it or set CALY_TEST_POSTGRES_URL"
}

# Runs a command as the user the server runs as.
as_owner() {
    if [ "$(id -u)" != 0 ]; then
        "$@"
    elif command -v setpriv >/dev/null; then
        setpriv --reuid="$owner" --regid="$(id -g "$owner")" --clear-groups env HOME="$base" LC_ALL=C "$@"
    elif command -v runuser >/dev/null; then
        runuser -u "$owner" -- env HOME="$base" LC_ALL=C "$@"
    else
        fail "neither setpriv nor runuser: cannot leave root"
    fi
}

choose_owner() {
    owner=$(id -un)
    if [ "$owner" = root ]; then
        if id postgres >/dev/null 2>&1; then owner=postgres; else owner=nobody; fi
    fi
}

# A port nobody listens on: asked of the kernel's table, tried at random. The server refuses a port that is taken.
free_port() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000))
        hex=$(printf ':%04X ' "$port")
        if ! grep -qs "$hex" /proc/net/tcp /proc/net/tcp6; then
            printf %s "$port"
            return 0
        fi
    done
    fail "no free port"
}

running() {
    [ -s "$base/url" ] && [ -s "$base/data/postmaster.pid" ] && kill -0 "$(head -n1 "$base/data/postmaster.pid")" 2>/dev/null
}

start() {
    if [ -n "${CALY_TEST_POSTGRES_URL:-}" ]; then
        printf "CALY_TEST_POSTGRES_URL='%s'; export CALY_TEST_POSTGRES_URL;\n" "$CALY_TEST_POSTGRES_URL"
        return
    fi
    if ! running; then
        programs=$(find_programs) || { install_programs; programs=$(find_programs) || fail "installed, but no initdb found"; }
        choose_owner
        rm -rf "$base"
        mkdir -m 700 "$base"
        chown "$owner" "$base"
        as_owner "$programs/initdb" -D "$base/data" -U postgres --auth=trust -E UTF8 --locale=C --no-sync >"$base/initdb.log" 2>&1 ||
            { cat "$base/initdb.log" >&2; fail "initdb failed"; }
        started=no
        for _ in 1 2 3; do
            port=$(free_port)
            options="-p $port -k $base -h 127.0.0.1 -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c max_connections=300"
            if as_owner "$programs/pg_ctl" -D "$base/data" -l "$base/server.log" -w -t 30 -o "$options" start >"$base/start.log" 2>&1; then
                started=yes
                break
            fi
        done
        [ "$started" = yes ] || { cat "$base/start.log" "$base/server.log" >&2; fail "the server did not start"; }
        printf 'postgres://postgres@127.0.0.1:%s/postgres' "$port" >"$base/url"
    fi
    printf "CALY_TEST_POSTGRES_URL='%s'; export CALY_TEST_POSTGRES_URL;\n" "$(cat "$base/url")"
}

stop() {
    if running; then
        programs=$(find_programs) || fail "no pg_ctl found"
        choose_owner
        as_owner "$programs/pg_ctl" -D "$base/data" -w -t 30 -m immediate stop >/dev/null
    fi
    rm -rf "$base"
}

case ${1:-} in
    start) start ;;
    stop) stop ;;
    url) if running; then cat "$base/url"; echo; else fail "not running"; fi ;;
    *) fail "start, stop or url" ;;
esac
