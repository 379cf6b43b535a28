#!/usr/bin/env bash
# Instructions of the hot path's parts for each reading, counted by callgrind: the same on every machine of a kind, whatever else it does.
#   bench/instructions.sh            of this tree
#   bench/instructions.sh REVISION   of this tree beside a revision, such as main
# Needs valgrind.
set -euo pipefail
cd "$(dirname "$0")/.."

# count BINARY PART TIMES: instructions of a run.
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$1" hot "$2" --times "$3" 2>&1 |
        sed -n 's/^==[0-9]*== Collected : \([0-9]*\).*/\1/p'
}
# each BINARY PART: for one reading, without what happens once.
each() { echo "$(($(count "$1" "$2" 11) - $(count "$1" "$2" 1)))" | awk '{ printf "%d", $1 / 10000 }'; }
# build FOLDER: the benchmark of the sources there; prints the binary.
build() {
    (cd "$1" && cargo build --quiet --release --locked -p bench)
    echo "$(cd "$1" && cd "${CARGO_TARGET_DIR:-target}" && pwd)/release/bench"
}

ours=$(build .)
theirs=
if [ $# -gt 0 ]; then
    tree="$(mktemp -d)"
    trap 'git worktree remove --force "$tree"' EXIT
    git worktree add --quiet --detach "$tree" "$1"
    # A copy: with a shared target folder this tree's would be overwritten.
    cp "$ours" "$tree/ours" && ours="$tree/ours"
    theirs=$(build "$tree")
fi
for part in decode rules store; do
    here=$(each "$ours" "$part")
    if [ -z "$theirs" ]; then
        printf '%-8s %6d instructions for a reading\n' "$part" "$here"
    else
        there=$(each "$theirs" "$part")
        printf '%-8s %6d instructions for a reading, %6d in %s: %s\n' "$part" "$here" "$there" "$1" \
            "$(awk -v a="$here" -v b="$there" 'BEGIN { printf "%.3f", a / b }')"
    fi
done
