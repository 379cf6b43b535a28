#!/usr/bin/env bash
# The core of the tests against the binaries for boards, under qemu-user: tests/boards.sh FOLDER [TEST…]
# FOLDER has binaries of docker/build-binaries.sh, of one of the machines at the least. What it takes beside them is qemu-user-static. With TEST… only these. With QUICK=1
# real clients try the one and a browser the other, and the one that counts as this machine does gets fewer tests.
set -euo pipefail
cd "$(dirname "$0")/.."
dist=$(realpath "$1")
shift
if [ $# -eq 0 ]; then
    # Publish, acknowledge, alert, store, outage, kill, disk at fault, TLS, WebSocket, service manager.
    set -- alerts:: durability:: forwarding::{kills,mqtt::,retried,wire} mqtt::{readings,retained,shared} power::faults service:: \
        sessions::killed shutdown:: tls:: websocket::{handshake,secure}
fi
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cargo build --quiet --locked -p simulator
target="$(cd "${CARGO_TARGET_DIR:-target}" && pwd)"
for machine in aarch64-unknown-linux-musl:qemu-aarch64-static armv7-unknown-linux-musleabihf:qemu-arm-static; do
    binary="$dist/edge-gateway-${machine%:*}"
    [ -e "$binary" ] || continue
    tried="$binary"
    printf '#!/bin/sh\nexec %s "%s" "$@"\n' "${machine#*:}" "$binary" >"$work/edge-gateway"
    chmod +x "$work/edge-gateway"
    export GATEWAY_BINARY="$work/edge-gateway" EMULATED=1
    printf '\n== %s: %s\n' "${machine%:*}" "$("$GATEWAY_BINARY" --version)"
    if [ -n "${QUICK:-}" ] && [ "${machine%%-*}" = aarch64 ]; then
        cargo test --quiet --locked --test it -- alerts:: durability::kill_nine service:: shutdown::
    else
        cargo test --quiet --locked --test it -- "$@"
        tests/clients.sh
    fi
    [ -n "${QUICK:-}" ] && [ "${machine%%-*}" != aarch64 ] && continue
    SIMULATOR_BINARY="$target/debug/simulator" tests/browser.sh --test-name-pattern "a tile follows|what is acknowledged says|after a restart"
done
[ -n "${tried:-}" ] || { printf 'there is no binary in %s\n' "$dist"; exit 1; }
