#!/usr/bin/env bash
# POST /data by 64 keep-alive connections, each reading durable before its answer, beside Flask behind gunicorn, by turns; and
# GET /data with 10,000 sensors. Needs wrk, curl, python3 with venv. Usage: bench/http.sh [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds="${1:-3}" seconds=8 connections=64
cargo build --quiet --release --locked -p edge-gateway
binary="${CARGO_TARGET_DIR:-target}/release/edge-gateway"
venv="${XDG_CACHE_HOME:-$HOME/.cache}/edge-gateway-flask"
if [ ! -x "$venv/bin/gunicorn" ]; then
    python3 -m venv "$venv" && "$venv/bin/pip" install --quiet 'flask>=3,<4' 'gunicorn>=23'
fi

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
# The same answers: kept in memory, and stored with a commit for each reading.
cat >"$work/memory.py" <<'PY'
from flask import Flask, jsonify, request
app, values = Flask(__name__), {}

@app.post("/data")
def take():
    reading = request.get_json()
    values[reading["id"]] = float(reading["value"])
    return jsonify(status="success", message="Data received!"), 201
PY
cat >"$work/durable.py" <<'PY'
import os, sqlite3, threading
from flask import Flask, jsonify, request
app, local = Flask(__name__), threading.local()

def connection():
    if not hasattr(local, "db"):
        local.db = sqlite3.connect(os.environ["DB"], timeout=30, isolation_level=None)
        local.db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
                               "CREATE TABLE IF NOT EXISTS reading (id INTEGER PRIMARY KEY, sensor TEXT, value REAL)")
    return local.db

@app.post("/data")
def take():
    reading = request.get_json()
    connection().execute("INSERT INTO reading (sensor, value) VALUES (?, ?)", (reading["id"], float(reading["value"])))
    return jsonify(status="success", message="Data received!"), 201
PY
cat >"$work/post.lua" <<'LUA'
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local n = 0
request = function()
    n = n + 1
    return wrk.format(nil, nil, nil, string.format('{"id":"s%d","value":%d}', n % 100, n % 100))
end
done = function(summary, latency)
    io.write(string.format("RESULT %.0f requests/s, p50 %.2f ms, p99 %.2f ms, not 2xx %d\n",
        summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
        summary.errors.status + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
LUA
up() { for _ in $(seq 400); do curl -s -o /dev/null "$1" && return; sleep 0.05; done; echo "$1 does not answer" >&2; return 1; }
load() { wrk -t1 -c "$connections" -d "${seconds}s" -s "$work/post.lua" "$1/data" | sed -n 's/^RESULT //p'; }
serve_flask() { # NAME PORT
    (cd "$work" && DB="$work/flask.db" exec "$venv/bin/gunicorn" --workers 2 --threads 32 --keep-alive 30 --log-level error \
        --bind "127.0.0.1:$2" "$1:app") &
    pids+=($!)
    up "http://127.0.0.1:$2/"
}
"$binary" --config "$work/gateway.toml" 2>/dev/null &
pids+=($!)
up http://127.0.0.1:18481/healthz
serve_flask memory 18482
serve_flask durable 18483
for round in $(seq "$rounds"); do
    echo "round $round"
    echo "  gateway, durable:  $(load http://127.0.0.1:18481)"
    echo "  Flask, in memory:  $(load http://127.0.0.1:18482)"
    echo "  Flask, durable:    $(load http://127.0.0.1:18483)"
done
python3 - >"$work/many.json" <<'PY'
import json
print(json.dumps([{"id": f"sensor-{n}", "value": n} for n in range(10_000)]))
PY
curl -sSf -o /dev/null -H 'Content-Type: application/json' --data-binary "@$work/many.json" http://127.0.0.1:18481/data
echo "GET /data with $(curl -s http://127.0.0.1:18481/data | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))') sensors, one at a time:"
for _ in $(seq 200); do curl -s -o /dev/null -w '%{time_total}\n' http://127.0.0.1:18481/data; done | sort -n |
    awk '{t[NR] = $1 * 1000} END {printf "  p50 %.1f ms, p99 %.1f ms, longest %.1f ms\n", t[int(NR/2)], t[int(NR*0.99)], t[NR]}'
