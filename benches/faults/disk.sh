#!/bin/sh
# What the disk is asked for and what happens when it fails, with SQLite (needs strace; Linux).
#
#   benches/faults/disk.sh fsync    counts fsync and fdatasync while clients are made: at least one for each commit
#   benches/faults/disk.sh errors   lets every n-th read, write and sync fail, in turn; then asks the file whether it is whole
#
# CALY_BIN names the binary, else target/release/caly. Exit code 1 if a goal is missed.
set -eu

caly=${CALY_BIN:-$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)/target/release/caly}
command -v strace >/dev/null || { echo "strace is missing: apt-get install strace" >&2; exit 1; }
[ -x "$caly" ] || { echo "$caly is not there: cargo build --release --bin caly, or set CALY_BIN" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CALY__DATA_DIR="$work/data" DATABASE_URL="sqlite://$work/data/caly.db" HOST=127.0.0.1
unset PORT PUBLIC_URL RAILWAY_PUBLIC_DOMAIN 2>/dev/null || true
cd "$work"

create() { "$@" "$caly" client create --slug "shop-$n" --name "A shop" --json; }
known() { "$caly" client list --json | grep -o '"slug":"[^"]*"' | sort; }

case ${1:-} in
fsync)
    "$caly" migrate >/dev/null 2>&1
    n=0 commits=10 synced=0
    while [ $n -lt $commits ]; do
        n=$((n + 1))
        create strace -f -qq -e trace=fsync,fdatasync -o "$work/trace" >/dev/null 2>&1
        syncs=$(grep -cE 'f(data)?sync\([0-9]+\) += 0' "$work/trace" || true)
        [ "$syncs" -ge 1 ] && synced=$((synced + 1))
    done
    echo "commits $commits, of which synced to the disk $synced"
    [ $synced = $commits ]
    ;;
errors)
    "$caly" migrate >/dev/null 2>&1
    n=0 said=0 silent=0 doubled=0 broken=0
    for call in pread64 pwrite64 fdatasync fsync; do
        for every in 2 3 5 8 13; do
            n=$((n + 1))
            if create strace -f -qq -e trace=$call -e inject=$call:error=EIO:when=$every+$every -o /dev/null \
                >"$work/out" 2>"$work/errors"; then ok=yes; else ok=no; [ -s "$work/errors" ] && said=$((said + 1)); fi
            # The error may come after the commit; what was told as done must be there, once.
            rows=$(known 2>/dev/null | grep -c "\"shop-$n\"" || true)
            if [ $ok = yes ] && [ "$rows" != 1 ]; then silent=$((silent + 1)); fi
            [ "$rows" -gt 1 ] && doubled=$((doubled + 1))
            whole=$(python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute("PRAGMA integrity_check").fetchone()[0])' "$work/data/caly.db")
            [ "$whole" = ok ] || broken=$((broken + 1))
        done
    done
    echo "runs $n, errors told $said, told as done but missing $silent, doubled $doubled, file not whole $broken"
    [ $silent = 0 ] && [ $doubled = 0 ] && [ $broken = 0 ] && [ $said -gt 0 ]
    ;;
*) echo "fsync or errors" >&2; exit 2 ;;
esac
