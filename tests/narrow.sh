#!/usr/bin/env bash
# The unit tests on a machine of 32 bits, under qemu-user: tests/narrow.sh [TEST…]
# With TEST… only these. Needs what docker/cross.sh needs, and qemu-user-static.
set -euo pipefail
cd "$(dirname "$0")/.."
. docker/cross.sh
export CARGO_TARGET_ARMV7_UNKNOWN_LINUX_MUSLEABIHF_RUNNER=qemu-arm-static
cross armv7-unknown-linux-musleabihf test --profile "${PROFILE:-trial}" --package edge-gateway --package kernel-clock --lib -- "$@"
