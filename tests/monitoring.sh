#!/usr/bin/env bash
# What promtool says of docs/monitoring and of the metrics of a gateway that runs. `.ci/install` gets promtool; without it
# nothing is checked here, and that is said.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:${XDG_CACHE_HOME:-$HOME/.cache}/edge-gateway-tools"
if ! command -v promtool >/dev/null; then
    printf 'skip  promtool is not there: alert rules, their tests and the metrics were not checked\n'
    exit 0
fi
. tests/gateway.sh

failed=0
# check NAME COMMAND…: it has to succeed; what it says is shown if it does not.
check() {
    local name="$1"
    shift
    if "$@" >"$work/said" 2>&1; then
        printf 'ok    %s\n' "$name"
    else
        failed=1
        printf 'FAIL  %s\n' "$name"
        cat "$work/said"
    fi
}
# scrape FILE, which has to be clean
scrape() {
    curl -sSf "$url/metrics" -o "$1"
    promtool check metrics <"$1"
}

cp docs/monitoring/*.yml "$work"
printf 'a token\n' >"$work/token.txt"
check 'the alert rules are right' promtool check rules "$work/alerts.yml"
check 'the alert rules fire when they should' promtool test rules "$work/alerts_test.yml"
check 'the example configuration is right' promtool check config "$work/prometheus.yml"

cat >"$work/gateway.toml" <<TOML
gateway_id = "monitoring"
[mqtt]
listen = "127.0.0.1:0"
websocket_listen = ""
[http]
listen = "127.0.0.1:0"
[store]
path = "$work/gateway.db"
[cloud]
url = "https://127.0.0.1:9/"
TOML
start
check 'the metrics are clean before the first reading' scrape "$work/before"
curl -sSf "$url/data" -H 'Content-Type: application/json' -d '[{"id":"s1","value":80},{"id":"s2","value":1}]' >/dev/null
check 'the metrics are clean after it' scrape "$work/after"
exit "$failed"
