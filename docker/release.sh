#!/usr/bin/env bash
# All that a release has, into dist/, with checksums: docker/release.sh [TARGET…]
#   static binaries and archives of them, Debian packages, container images, the bill of materials
#
# Needs what docker/build-binaries.sh and docker/build-debs.sh need, and cargo-cyclonedx (`cargo install cargo-cyclonedx --locked`).
# docs/release.md has the list of what to do before and after.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -eq 0 ]; then
    set -- aarch64-unknown-linux-musl armv7-unknown-linux-musleabihf x86_64-unknown-linux-musl
fi
# Not so of what is made to be tried.
if [ "${PROFILE:-board}" = board ] && [ -n "$(git status --porcelain)" ]; then
    echo "the work tree is not clean: what is released has to be what is committed" >&2
    exit 1
fi
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
rm -rf dist
docker/build-binaries.sh "$@"
docker/build-debs.sh "$@"
docker/build-sbom.sh "dist/edge-gateway-$version.cdx.json"
cargo run --quiet --locked --package roots >dist/roots.pem
docker/build-image.py --roots dist/roots.pem --sbom "dist/edge-gateway-$version.cdx.json"
for target in "$@"; do
    name="edge-gateway-$version-$target"
    mkdir "dist/$name"
    cp "dist/edge-gateway-$target" "dist/$name/edge-gateway"
    mkdir "dist/$name/docker"
    cp -r LICENSE README.md CHANGELOG.md broker-config docs docker/systemd docker/openrc "dist/$name/"
    cp -r docker/compose*.yaml docker/monitoring "dist/$name/docker/"
    # With the folders of a service, as in the package.
    cp dist/deb/gateway.toml "dist/$name/broker-config/"
    # Nothing of this machine, and no order but the names'.
    tar --create --sort=name --mode=u=rwX,go=rX --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
        --directory dist "$name" | gzip --no-name --best >"dist/$name.tar.gz"
    rm -r "dist/$name"
done
rm -r dist/deb dist/roots.pem
(cd dist && rm -f SHA256SUMS && sha256sum -- * >../SHA256SUMS.new && mv ../SHA256SUMS.new SHA256SUMS)
ls -l dist
if grep -q '^maintainer = .*@localhost>' gateway/Cargo.toml; then
    echo "before this is published: gateway/Cargo.toml names no maintainer who can be reached" >&2
fi
