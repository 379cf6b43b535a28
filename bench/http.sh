#!/usr/bin/env bash
# GET /data with 10,000 sensors, one at a time. Needs curl and python3. Usage: bench/http.sh
# POST /data: `cargo run --release -p bench -- compare --case HTTP`.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet --release --locked -p edge-gateway
binary="${CARGO_TARGET_DIR:-target}/release/edge-gateway"
work="$(mktemp -d -p "${BENCH_DIR:-.}")"
work="$(realpath "$work")"
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

cat >"$work/gateway.toml" <<TOML
[mqtt]
listen = "127.0.0.1:0"
websocket_listen = ""
[http]
listen = "127.0.0.1:18481"
[store]
path = "$work/gateway.db"
TOML
up() { for _ in $(seq 400); do curl -s -o /dev/null "$1" && return; sleep 0.05; done; echo "$1 does not answer" >&2; return 1; }
"$binary" --config "$work/gateway.toml" 2>/dev/null &
pids+=($!)
up http://127.0.0.1:18481/healthz
python3 - >"$work/many.json" <<'PY'
import json
print(json.dumps([{"id": f"sensor-{n}", "value": n} for n in range(10_000)]))
PY
curl -sSf -o /dev/null -H 'Content-Type: application/json' --data-binary "@$work/many.json" http://127.0.0.1:18481/data
echo "GET /data with $(curl -s http://127.0.0.1:18481/data | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))') sensors, one at a time:"
for _ in $(seq 200); do curl -s -o /dev/null -w '%{time_total}\n' http://127.0.0.1:18481/data; done | sort -n |
    awk '{t[NR] = $1 * 1000} END {printf "  p50 %.1f ms, p99 %.1f ms, longest %.1f ms\n", t[int(NR/2)], t[int(NR*0.99)], t[NR]}'
