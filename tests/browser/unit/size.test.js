// The page is small enough for a slow link.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";
import { gzipSync } from "node:zlib";

const ROOT = new URL("../../../gateway/dashboard/", import.meta.url);
const SERVED = /\.(html|js|css|svg|txt)$/;
const LIMIT = 150 * 1024;

const files = (folder) =>
    readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
        entry.isDirectory() ? files(new URL(`${entry.name}/`, folder)) : SERVED.test(entry.name) ? [new URL(entry.name, folder)] : [],
    );

test("all files together, compressed one by one as the gateway has them", (t) => {
    const total = files(ROOT).reduce((sum, file) => sum + gzipSync(readFileSync(file), { level: 9 }).length, 0);
    t.diagnostic(`${total} bytes`);
    assert.ok(total < LIMIT, `${total} bytes`);
});

test("nothing in the page asks another host, and no HTML is made of texts", () => {
    for (const file of files(ROOT).filter((one) => /\.(html|js|css)$/.test(one.pathname) && !/\/vendor\//.test(one.pathname))) {
        const text = readFileSync(file, "utf8");
        assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/, file.pathname);
        const hosts = text.match(/https?:\/\/[^\s"'`)]+/g) ?? [];
        const foreign = hosts.filter((host) => !/^http:\/\/www\.w3\.org\/|cloud\.example\.com/.test(host));
        assert.deepEqual(foreign, [], file.pathname);
    }
});
