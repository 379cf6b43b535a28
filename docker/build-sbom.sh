#!/usr/bin/env bash
# The bill of materials of the binary (CycloneDX, JSON): docker/build-sbom.sh FILE
#
# Needs cargo-cyclonedx (`cargo install cargo-cyclonedx --locked`). The same commit and compiler give the same file, wherever it is made.
set -euo pipefail
cd "$(dirname "$0")/.."
file=$(realpath "$1")
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
target=aarch64-unknown-linux-musl
# It writes a file beside each manifest.
cargo cyclonedx --quiet --manifest-path gateway/Cargo.toml --format json --spec-version 1.5 \
    --target "$target" --override-filename edge-gateway-sbom
mv gateway/edge-gateway-sbom.json "$file"
git ls-files '*Cargo.toml' | while read -r manifest; do rm -f "$(dirname "$manifest")/edge-gateway-sbom.json"; done

# What no crate says: the C libraries in them, the standard libraries, and what the dashboard's files are made of.
cargo metadata --format-version 1 --locked --filter-platform "$target" |
    RUST="$("${RUSTC:-rustc}" --version)" python3 -c '
import json, os, pathlib, re, sys
file, root = pathlib.Path(sys.argv[1]), pathlib.Path.cwd()
crates = {crate["name"]: crate for crate in json.load(sys.stdin)["packages"]}
header = pathlib.Path(crates["libsqlite3-sys"]["manifest_path"]).with_name("sqlite3") / "sqlite3.h"
sqlite = re.search(r"#define SQLITE_VERSION +\"(.+)\"", header.read_text()).group(1)
zstd = re.search(r"zstd\.(.+)", crates["zstd-sys"]["version"]).group(1)
found = [
    ("SQLite", sqlite, "blessing", f"pkg:generic/sqlite@{sqlite}"),
    ("zstd", zstd, "BSD-3-Clause", f"pkg:github/facebook/zstd@v{zstd}"),
    ("Rust standard library", os.environ["RUST"].split()[1], "MIT OR Apache-2.0", None),
    ("musl", None, "MIT", "pkg:generic/musl"),
]
packages = (root / "gateway/dashboard/vendor/LICENSES.txt").read_text()
for name, version, license in re.findall(r"^==== (\S+) (\S+): (.+)$", packages, re.M):
    found.append((name, version, license, "pkg:npm/" + name.replace("@", "%40") + "@" + version))
bill = json.loads(file.read_text().replace(f"path+file://{root}/", "path+file:///"))
for name, version, license, purl in found:
    component = {"type": "library", "bom-ref": purl or name, "name": name, "version": version, "scope": "required",
                 "licenses": [{"expression": license}], "purl": purl}
    bill["components"].append({key: value for key, value in component.items() if value})
file.write_text(json.dumps(bill, indent=2) + "\n")
' "$file"
