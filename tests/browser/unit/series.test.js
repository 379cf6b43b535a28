// What charts and sparklines are drawn from.

import assert from "node:assert/strict";
import test from "node:test";

import { columns, span, summary } from "../../../gateway/dashboard/app/columns.js";
import { Trace } from "../../../gateway/dashboard/app/trace.js";

const item = (ts, avg, count = 1) => ({ ts, min: avg - 1, avg, max: avg + 1, count });

test("a line breaks where readings are missing for unusually long", () => {
    const { ts, avg } = columns([item(0, 1), item(1000, 2), item(2000, 3), item(60_000, 4), item(61_000, 5)], 1000);
    assert.deepEqual(ts, [0, 1, 2, 31, 60, 61]);
    assert.deepEqual(avg, [1, 2, 3, null, 4, 5]);
    // A slow sensor is no outage.
    assert.ok(!columns([item(0, 1), item(60_000, 2), item(120_000, 3)], 1000).avg.includes(null));
    assert.deepEqual(columns([], 1000), { ts: [], min: [], avg: [], max: [] });
});

test("a summary weighs by readings", () => {
    assert.deepEqual(summary([item(0, 10, 1), item(1, 20, 3)]), { min: 9, avg: 17.5, max: 21, count: 4, last: 20 });
    assert.equal(summary([]), null);
});

test("the axis takes in thresholds that are near", () => {
    const holds = ([low, high], value) => low < value && value < high;
    assert.ok(holds(span(50, 70, [75]), 75));
    assert.ok(!holds(span(50, 70, [1000]), 1000));
    const flat = span(5, 5, []);
    assert.ok(flat[0] < 5 && 5 < flat[1]);
    assert.deepEqual(span(null, null, []), [0, 100]);
});

test("a trace keeps spikes, its length and its time", () => {
    const trace = new Trace();
    for (let second = 0; second < 3600; second++) trace.add(second * 1000, second === 3500 ? 99 : 1);
    assert.ok(trace.slots.length <= 121);
    assert.ok(trace.slots[0].ts >= 3599_000 - 700_000);
    assert.equal(Math.max(...trace.slots.map((slot) => slot.high)), 99);
    assert.equal(trace.slots.at(-1).at, 3599_000);
    const places = trace.slots.map((slot) => slot.ts);
    assert.deepEqual(places, [...places].sort((a, b) => a - b));
});

test("what was stored goes before what came since", () => {
    const trace = new Trace();
    trace.add(100_000, 5);
    trace.precede([item(80_000, 1), item(90_000, 2), item(100_500, 3)]);
    assert.deepEqual(trace.slots.map((slot) => slot.value), [1, 2, 5]);
});
