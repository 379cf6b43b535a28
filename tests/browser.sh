#!/usr/bin/env bash
# The dashboard in a real browser, against the real gateway and the simulator; before that its parts that need none.
# `.ci/install` gets Chromium. With SCREENSHOTS=folder the tests leave pictures there. Further arguments go to the test runner:
# `tests/browser.sh --test-name-pattern alert`. `tests/browser.sh frames` measures how fluid the page is instead.
set -euo pipefail
cd "$(dirname "$0")/.."
# GATEWAY_BINARY may name one that was built elsewhere.
if [ -z "${GATEWAY_BINARY:-}" ]; then
    cargo build --quiet --locked -p edge-gateway -p simulator
    target="$(cd "${CARGO_TARGET_DIR:-target}" && pwd)"
    export GATEWAY_BINARY="$target/debug/edge-gateway"
    export SIMULATOR_BINARY="$target/debug/simulator"
fi
cache="${XDG_CACHE_HOME:-$HOME/.cache}/edge-gateway-browser"
lock="$(sha256sum <tests/browser/package-lock.json)"
if [ "$(cat "$cache/lock" 2>/dev/null)" != "$lock" ]; then
    mkdir -p "$cache"
    cp tests/browser/package.json tests/browser/package-lock.json "$cache"
    npm ci --silent --no-fund --no-audit --prefix "$cache"
    printf '%s\n' "$lock" >"$cache/lock"
fi
export BROWSER_MODULES="$cache"
if [ "${1:-}" = frames ]; then
    exec node tests/browser/frames.js
fi
# Numbers are written as in the tests, whatever this machine's language is.
export LC_ALL=C
node --test tests/browser/unit/*.test.js
node --test-reporter=spec "$@" tests/browser/all.js
