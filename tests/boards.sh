#!/usr/bin/env bash
# The core of the tests against the binaries for boards, under qemu-user: tests/boards.sh FOLDER [TEST…]
# FOLDER has binaries of docker/build-binaries.sh, of one of the machines at the least. What it takes beside them is qemu-user-static,
# and qemu-user, to which another time can be shown. With TEST… only these. With QUICK=1 real clients try the one that counts in 32
# bits, and the other gets one or some of each kind.
set -euo pipefail
cd "$(dirname "$0")/.."
dist=$(realpath "$1")
shift
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cargo build --quiet --locked -p simulator
target="$(cd "${CARGO_TARGET_DIR:-target}" && pwd)"
export GATEWAY_BINARY="$work/edge-gateway" EMULATED=1
# by EMULATOR BINARY: what GATEWAY_BINARY is from here on.
by() {
    printf '#!/bin/sh\nexec %s "%s" "$@"\n' "$1" "$2" >"$work/edge-gateway"
    chmod +x "$work/edge-gateway"
}
it() { cargo test --quiet --locked --test it -- "$@"; }

tried=
for machine in aarch64-unknown-linux-musl:aarch64 armv7-unknown-linux-musleabihf:arm; do
    binary="$dist/edge-gateway-${machine%:*}"
    [ -e "$binary" ] || continue
    tried="$binary"
    by "qemu-${machine#*:}-static" "$binary"
    printf '\n== %s: %s\n' "${machine%:*}" "$("$GATEWAY_BINARY" --version)"
    if [ $# -gt 0 ]; then
        it "$@"
        continue
    fi
    # Publish, acknowledge, alert, store, outage, kill, disk at fault, TLS, WebSocket, service manager.
    if [ -n "${QUICK:-}" ] && [ "${machine#*:}" = aarch64 ]; then
        it alerts:: durability::kill_nine forwarding::{kills,retried::an_outage} mqtt::readings service:: shutdown:: \
            tls::a_{reading,reload} websocket::a_reading
    else
        it alerts:: durability:: forwarding::{kills,mqtt::,retried,wire} mqtt::{readings,retained,shared} power::faults service:: \
            sessions::killed shutdown:: tls:: websocket::{a_reading,handshake,secure}
        tests/clients.sh
    fi
    SIMULATOR_BINARY="$target/debug/simulator" tests/browser.sh --test-name-pattern "a tile follows|what is acknowledged says|after a restart"
    # Seconds of 32 bits end in 2038. The emulator's own clock is what is moved, and one that is static has none that could be.
    if ldd "$(command -v "qemu-${machine#*:}")" >/dev/null 2>&1; then
        by "qemu-${machine#*:}" "$binary"
        it clock::
    else
        printf 'skip  clock: this qemu-user is static\n'
    fi
done
[ -n "$tried" ] || { printf 'there is no binary in %s\n' "$dist"; exit 1; }
