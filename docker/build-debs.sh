#!/usr/bin/env bash
# Debian packages of the binaries that docker/build-binaries.sh has made, into dist/: docker/build-debs.sh [TARGET…]
#
# Needs cargo-deb (`cargo install cargo-deb --locked`) and the same CARGO_TARGET_DIR.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -eq 0 ]; then
    set -- aarch64-unknown-linux-musl armv7-unknown-linux-musleabihf x86_64-unknown-linux-musl
fi
# The shipped configuration, with what it writes where the package puts it.
mkdir -p dist/deb
sed -e 's|^path = "data/gateway.db"|path = "/var/lib/edge-gateway/gateway.db"|' \
    -e 's|^rules_file = ""|rules_file = "/var/lib/edge-gateway/rules.toml"|' \
    broker-config/gateway.toml >dist/deb/gateway.toml
if [ "$(grep -c /var/lib/edge-gateway/ dist/deb/gateway.toml)" != 2 ]; then
    echo "broker-config/gateway.toml has no store.path or rules_file to be replaced" >&2
    exit 1
fi
# The same sources give the same package.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
for target in "$@"; do
    cargo deb --package edge-gateway --profile "${PROFILE:-board}" --no-build --no-strip --locked --target "$target" --output dist/
done
