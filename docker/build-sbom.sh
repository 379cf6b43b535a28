#!/usr/bin/env bash
# The bill of materials of the binary (CycloneDX, JSON): docker/build-sbom.sh FILE
#
# Needs cargo-cyclonedx (`cargo install cargo-cyclonedx --locked`). The same commit gives the same file.
set -euo pipefail
cd "$(dirname "$0")/.."
file=$(realpath "$1")
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
# It writes a file beside each manifest.
cargo cyclonedx --quiet --manifest-path gateway/Cargo.toml --format json --spec-version 1.5 \
    --target aarch64-unknown-linux-musl --override-filename edge-gateway-sbom
mv gateway/edge-gateway-sbom.json "$file"
find gateway simulator bench -name edge-gateway-sbom.json -delete
