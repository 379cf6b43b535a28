#!/usr/bin/env bash
# Static binaries for boards and images, into dist/: docker/build-binaries.sh [TARGET…]
# PROFILE=trial builds sooner and larger ones, for tests. What it needs: docker/cross.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
. docker/cross.sh

if [ $# -eq 0 ]; then
    set -- aarch64-unknown-linux-musl armv7-unknown-linux-musleabihf x86_64-unknown-linux-musl
fi
folder=${CARGO_TARGET_DIR:-target}
profile=${PROFILE:-board}
mkdir -p dist
for target in "$@"; do
    cross "$target" zigbuild --profile "$profile" --package edge-gateway
    binary="dist/edge-gateway-$target"
    cp "$folder/$target/$profile/edge-gateway" "$binary"
    # A goal of the design.
    if [ "$profile/$target" = board/aarch64-unknown-linux-musl ] && [ 10000000 -lt "$(stat --format %s "$binary")" ]; then
        echo "$binary is larger than 10 MB: docs/measurements.md has what it was and what costs size" >&2
        exit 1
    fi
done
(cd dist && sha256sum edge-gateway-*-linux-* >SHA256SUMS)
ls -l dist
