#!/usr/bin/env bash
# Asks the API itself whether openapi.json is true: requests that it allows are answered as it says, others are refused.
# `.ci/install` gets schemathesis. Exits with 1 if it found anything.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/gateway.sh
schemathesis="${XDG_CACHE_HOME:-$HOME/.cache}/edge-gateway-schemathesis/bin/schemathesis"

cat >"$work/gateway.toml" <<TOML
gateway_id = "openapi"
rules_file = "rules.toml"
[mqtt]
listen = "127.0.0.1:0"
websocket_listen = ""
[http]
listen = "127.0.0.1:0"
[store]
path = "$work/gateway.db"
TOML
start
curl -sSf "$url/data" -H 'Content-Type: application/json' -d '{"id":"s1","value":80}' >/dev/null

# The same cases each time: what is found is found again. A handshake is not for it.
"$schemathesis" --config-file tests/schemathesis.toml run "$url/openapi.json" --no-color --seed 6 \
    --max-examples "${1:-20}" --exclude-path /mqtt --continue-on-failure
