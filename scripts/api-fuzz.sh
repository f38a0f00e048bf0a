#!/usr/bin/env bash
# Asks a running server whatever its OpenAPI document allows and forbids, with an admin's key, a viewer's key, a key of
# one client and none, and fails when an answer is one the document does not have, or a fault of the server.
#
#   scripts/api-fuzz.sh                  builds a debug server, starts it on a free port with a fresh database, asks
#   CALY_BIN=target/release/caly …       takes this program instead
#   FUZZ_EXAMPLES=50 FUZZ_SEED=1 …       requests per operation and phase, and which ones
#
# The tool (schemathesis) goes into a Python environment under target/. What it found is kept in target/api-fuzz/.
set -euo pipefail
cd "$(dirname "$0")/.."

version=4.32.5
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
out=$target/api-fuzz
venv=$target/api-fuzz-venv
examples=${FUZZ_EXAMPLES:-30}
seed=${FUZZ_SEED:-20}

fail() { printf 'api-fuzz: %s\n' "$*" >&2; exit 1; }

command -v python3 >/dev/null || fail "python3 is missing: install it (apt-get install python3 python3-venv)"
if ! "$venv/bin/schemathesis" --version 2>/dev/null | grep -q "$version"; then
    python3 -m venv "$venv" || fail "no Python environment: apt-get install python3-venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"
fi
if [ -z "${CALY_BIN:-}" ]; then
    cargo build --locked --bin caly
    CALY_BIN=$target/debug/caly
fi

rm -rf "$out"
mkdir -p "$out/data"
[ -z "${CALY_BIN:-}" ] || CALY_BIN=$(realpath "$CALY_BIN")
# The tool leaves notes where it runs.
cd "$out"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export HOST=127.0.0.1 PORT=$port DATABASE_URL="sqlite://$out/data/caly.db"
export CALY__DATA_DIR="$out/data" CALY__LIMITS__API_PER_KEY_PER_SECOND=100000
# Rates are told of by tests of their own; here they would hide everything else.
export CALY__LIMITS__FAILED_AUTH_PER_ADDRESS_PER_MINUTE=1000000
unset OPENAI_API_KEY OPENAI_BASE_URL

"$CALY_BIN" serve >"$out/server.log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true' EXIT
base=http://127.0.0.1:$port
ready=0
for _ in $(seq 300); do
    # Each thread of the server remembers its last look for a moment: ask until all of them have seen it ready.
    if curl -fsS "$base/health/ready" >/dev/null 2>&1; then ready=$((ready + 1)); else ready=0; fi
    [ "$ready" -lt 10 ] || break
    kill -0 "$server" 2>/dev/null || fail "the server did not start: see $out/server.log"
    sleep 0.1
done
[ "$ready" -ge 10 ] || fail "the server is not ready: see $out/server.log"
# A call, so that there is something to read.
"$CALY_BIN" call --scenario short >/dev/null 2>&1 || true

# What is left out: `positive_data_acceptance`, since the document cannot say that a slug is taken or a client missing.
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance
checks=$checks,response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance

failed=0
fuzz() { # name, checks, header
    local name=$1 checks=$2 header=$3 log=$out/$1.log
    local headers=()
    [ -z "$header" ] || headers=(-H "$header")
    # The stream of events has no end, which this tool would wait for; it has tests of its own.
    "$venv/bin/schemathesis" --no-color run "$base/api/openapi.json" --url "$base" "${headers[@]}" \
        --checks "$checks" --exclude-path /api/v1/events --phases examples,coverage,fuzzing \
        --max-examples "$examples" --seed "$seed" --request-timeout 20 --workers 1 --continue-on-failure \
        --generation-database none --warnings off --report json --report-json-path "$out/$name.json" >"$log" 2>&1 || {
        failed=1
        cut -c1-1000 "$log"
    }
    printf '\n== %s\n' "$name"
    sed -n '/=* SUMMARY =*/,$p' "$log"
}
key() { "$CALY_BIN" key create --role "$@" 2>/dev/null; }
fuzz admin "$checks,ignored_auth" "Authorization: Bearer $(key admin --name fuzz)"
fuzz viewer "$checks" "Authorization: Bearer $(key viewer --name fuzz)"
fuzz scoped "$checks" "Authorization: Bearer $(key admin --name fuzz --client demo)"
fuzz none "$checks" ""

if grep -E 'panicked| ERROR ' "$out/server.log"; then
    failed=1
    echo "api-fuzz: the server told of faults, see $out/server.log" >&2
fi
kill -0 "$server" || fail "the server died: see $out/server.log"
exit "$failed"
