# What scripts share that try a real gateway: to be sourced, at the root of the repository. Builds the binary, unless
# GATEWAY_BINARY names one that was built elsewhere, makes the folder `$work`, and takes it away at the end.
. tests/checks.sh
if [ -n "${GATEWAY_BINARY:-}" ]; then
    binary="$GATEWAY_BINARY"
else
    cargo build --quiet --locked -p edge-gateway
    binary="${CARGO_TARGET_DIR:-target}/debug/edge-gateway"
fi

work="$(mktemp -d)"
gateway=
finish() {
    if [ -n "$gateway" ]; then
        kill "$gateway" 2>/dev/null || true
        wait "$gateway" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap finish EXIT

# Rows of a view, read while the gateway runs.
sql() { sqlite3 -readonly -cmd '.timeout 5000' "$work/gateway.db" "$1"; }
# address TRANSPORT
address() { sed -n "s/.*\"transport\":\"$1\",\"address\":\"\([^\"]*\)\".*/\1/p" "$work/log"; }
is_listening() { [ -n "$(address mqtt)" ] && [ -n "$(address http)" ]; }
# Starts `$gateway` with `$work/gateway.toml`, also again after it was killed; then `$mqtt_port` and `$url` are known.
start() {
    env -u RUST_LOG "$binary" --config "$work/gateway.toml" --log-format json 2>"$work/log" &
    gateway=$!
    eventually is_listening || { cat "$work/log"; exit 1; }
    mqtt_port="$(address mqtt)" && mqtt_port="${mqtt_port##*:}"
    url="http://$(address http)"
}
