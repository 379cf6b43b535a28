#!/usr/bin/env bash
# Static binaries for boards and images, into dist/: docker/build-binaries.sh [TARGET…]
# PROFILE=trial builds sooner and larger ones, for tests.
#
# Needs cargo-zigbuild and zig (both also come by `pip install cargo-zigbuild ziglang`), and of Rust either the targets
# (`rustup target add TARGET`) or the source of its standard library, which is then built along.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -eq 0 ]; then
    set -- aarch64-unknown-linux-musl armv7-unknown-linux-musleabihf x86_64-unknown-linux-musl
fi
folder=${CARGO_TARGET_DIR:-target}
profile=${PROFILE:-board}
# No panic goes through C.
export CFLAGS="${CFLAGS:-} -fno-asynchronous-unwind-tables -fno-unwind-tables"
library=$("${RUSTC:-rustc}" --print sysroot)/lib/rustlib
mkdir -p dist
for target in "$@"; do
    options=(--profile "$profile" --locked --package edge-gateway --target "$target")
    if [ -d "$library/$target/lib" ]; then
        cargo zigbuild "${options[@]}"
    elif [ -d "$library/src/rust/library/std" ]; then
        # The C library and its start files are zig's. No backtraces: they would be numbers, without the names that are stripped.
        RUSTC_BOOTSTRAP=1 RUSTFLAGS="${RUSTFLAGS:-} -C link-self-contained=no" \
            cargo zigbuild -Zbuild-std=std,panic_abort -Zbuild-std-features=panic-unwind "${options[@]}"
    else
        echo "no standard library for $target: rustup target add $target" >&2
        exit 1
    fi
    cp "$folder/$target/$profile/edge-gateway" "dist/edge-gateway-$target"
done
(cd dist && sha256sum edge-gateway-*-linux-* >SHA256SUMS)
ls -l dist
