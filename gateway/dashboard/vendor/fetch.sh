#!/usr/bin/env bash
# Makes the third-party files of the dashboard again, from the npm packages that package-lock.json names (their sha512 are
# in it), and compares them with SHA256SUMS. `--keep` puts them into this folder and writes SHA256SUMS anew.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cp "$here/package.json" "$here/package-lock.json" "$here/mqtt-entry.mjs" "$work"
cd "$work"
npm ci --silent --no-fund --no-audit

# What MQTT.js needs of Node.js comes from the packages that its own build takes. Not taken are: the debug output, timers in a
# worker made of a blob (the page's policy forbids it), outgoing topic aliases, and WebSockets other than the browser's.
cat >nothing.js <<'JS'
module.exports = {};
JS
cat >aliases.js <<'JS'
exports.LRUCache = class { clear() {} };
JS
cat >silence.js <<'JS'
module.exports = () => () => {};
JS
cat >process.js <<'JS'
module.exports = {
    env: {}, browser: true, version: "", versions: {},
    nextTick: (act, ...given) => queueMicrotask(() => act(...given)),
};
JS
cat >globals.js <<'JS'
export { Buffer } from "buffer";
export { default as process } from "./process.js";
JS
mkdir new
node_modules/.bin/esbuild mqtt-entry.mjs --bundle --minify --format=esm --target=es2022 --platform=browser \
    --legal-comments=none --log-level=warning --metafile=parts.json --outfile=new/mqtt.js \
    --inject:./globals.js --define:global=globalThis \
    --alias:buffer=./node_modules/buffer/index.js --alias:events=./node_modules/events/events.js \
    --alias:stream=readable-stream --alias:debug=./silence.js --alias:worker-timers=./nothing.js \
    --alias:ws=./nothing.js --alias:lru-cache=./aliases.js --alias:process=./process.js
cp node_modules/uplot/dist/uPlot.iife.min.js node_modules/uplot/dist/uPlot.min.css new/

# The licence of each package of which something is in a file.
node - >new/LICENSES.txt <<'JS'
const { readFileSync, readdirSync } = require("node:fs");
const parts = Object.keys(JSON.parse(readFileSync("parts.json")).inputs);
const names = parts.map((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]).filter(Boolean);
for (const name of [...new Set([...names, "uplot"])].sort()) {
    const { version, license } = JSON.parse(readFileSync(`node_modules/${name}/package.json`));
    const file = readdirSync(`node_modules/${name}`).find((one) => /^licen[cs]e/i.test(one));
    const text = file ? readFileSync(`node_modules/${name}/${file}`, "utf8").trim() : "(the package has no licence text)";
    console.log(`==== ${name} ${version}: ${license}\n\n${text}\n`);
}
JS
cd new
if [ "${1:-}" = --keep ]; then
    sha256sum -- * >SHA256SUMS
    cp -- * "$here/"
else
    sha256sum --check "$here/SHA256SUMS"
fi
