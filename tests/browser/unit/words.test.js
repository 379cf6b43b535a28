// What is said to people.

import assert from "node:assert/strict";
import test from "node:test";

import * as words from "../../../gateway/dashboard/app/words.js";

test("durations have their two largest units", () => {
    const check = (seconds, expected) => assert.equal(words.duration(seconds), expected);
    check(0.2, "0 s");
    check(40.1, "40 s");
    check(59.7, "1 min");
    check(125, "2 min 5 s");
    check(600, "10 min");
    check(7800.5, "2 h 10 min");
    check(7200, "2 h");
    check(273600, "3 d 4 h");
    check(-5, "0 s");
});

test("the uplink is told in a sentence", () => {
    const status = { pending: 0, oldest_seconds: null, last_verdict: null, next_attempt_seconds: null, drain_seconds: null, held: null };
    const check = (given, tone, text) => assert.deepEqual(words.uplink({ ...status, ...given }), { tone, text });
    check({}, "ok", "Everything is delivered.");
    check({ last_verdict: "delivered" }, "ok", "Everything is delivered.");
    check(
        { pending: 3214, oldest_seconds: 7800.5, next_attempt_seconds: 40.1, drain_seconds: 360, last_verdict: "delivered" },
        "busy",
        "3,214 readings wait, oldest 2 h 10 min, next try in 40 s, about 6 min to drain.",
    );
    check({ pending: 1, oldest_seconds: 2, last_verdict: "retry: 503" }, "trouble", "1 reading waits, oldest 2 s. The last try failed: 503.");
    check({ pending: 5, next_attempt_seconds: 0.2, drain_seconds: 20 }, "busy", "5 readings wait, next try now, less than 1 min to drain.");
    check({ held: "401 Unauthorized", pending: 7 }, "trouble", "Held: 401 Unauthorized. 7 readings wait.");
    check({ last_verdict: "retry: connection refused" }, "ok", "Nothing waits. The last try failed: connection refused.");
});

test("the header says the worst of several uplinks", () => {
    const fine = { pending: 0, last_verdict: "delivered", held: null };
    const failing = { pending: 3, oldest_seconds: 1, next_attempt_seconds: 1, drain_seconds: null, last_verdict: "retry: 503", held: null };
    const check = (outbox, tone, text) => assert.deepEqual(words.uplinkShort(outbox), { tone, text });
    check({ pending: 0, uplinks: [] }, "off", "No uplink");
    check({ pending: 1200, uplinks: [] }, "off", "No uplink, 1,200 wait");
    check({ pending: 0, uplinks: [fine] }, "ok", "Uplink delivers");
    check({ pending: 3, uplinks: [fine, failing] }, "trouble", "Uplink fails, 3 wait");
    check({ pending: 3, uplinks: [{ ...failing, held: "401" }, fine] }, "trouble", "Uplink held, 3 wait");
    check({ pending: 9, uplinks: [{ ...failing, last_verdict: "delivered" }] }, "busy", "9 to deliver");
});

test("numbers and sizes are short", () => {
    assert.equal(words.value(80), "80");
    assert.equal(words.value(1234567), "1,234,567");
    assert.equal(words.value(-0.000001), "-1.000e-6");
    assert.equal(words.value(1.5e300), "1.500e+300");
    assert.equal(words.value(null), "–");
    assert.equal(words.mean(1 / 3), "0.33333");
    assert.equal(words.bytes(0), "0 B");
    assert.equal(words.bytes(1536), "1.5 KiB");
    assert.equal(words.bytes(7 * 1024 ** 3), "7 GiB");
    assert.equal(words.counted(1, "reading"), "1 reading");
    assert.equal(words.ago(1000, 4200), "3 s ago");
    assert.equal(words.ago(4500, 4200), "now");
});
