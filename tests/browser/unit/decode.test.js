// Payloads as the gateway reads them.

import assert from "node:assert/strict";
import test from "node:test";

import { decode } from "../../../gateway/dashboard/app/decode.js";

const bytes = (text) => new TextEncoder().encode(text);

test("payloads are read as the contract says", () => {
    const check = (topic, payload, expected) =>
        assert.deepEqual(decode(topic, bytes(payload)).map(({ sensor, value, ts }) => [sensor, value, ts]), expected, payload);
    check("sensors/boiler", "80.5", [["boiler", 80.5, null]]);
    check("sensors/a/b", '{"value":1}', [["b", 1, null]]);
    check("sensors/x", '{"sensor_id":"s1","id":"no","value":80.0}', [["s1", 80, null]]);
    check("sensors/x", '{"id":7,"value":80}', [["7", 80, null]]);
    check("sensors/x", '{"id":"s","value":1,"ts":1764000000000}', [["s", 1, 1764000000000]]);
    check("sensors/x", '{"id":"s","value":1,"ts":"2025-11-24T16:00:00Z"}', [["s", 1, 1764000000000]]);
    check("sensors/air", '{"temperature":21.5,"humidity":40,"ts":5,"room":"r"}', [["air/temperature", 21.5, 5], ["air/humidity", 40, 5]]);
    check("sensors/x", '[{"id":"a","value":1},{"id":"b","value":null},{"id":"c","value":3}]', [["a", 1, null], ["c", 3, null]]);
});

test("what cannot be read gives nothing", () => {
    for (const payload of ["", "hello", "null", "true", '"1"', "{}", '{"value":"1"}', '{"value":1e999}', '{"value":1,"ts":-1}', '{"value":1,"ts":"x"}', "[1]", "[[]]", '{"sensor_id":"a#","value":1}', '{"sensor_id":"","value":1}', '{"sensor_id":"$a","value":1}', '{"sensor_id":"a//b","value":1}', `{"sensor_id":"${"x".repeat(257)}","value":1}`, '{"sensor_id":true,"value":1}']) {
        assert.deepEqual(decode("sensors/s", bytes(payload)), [], payload);
    }
    assert.deepEqual(decode("sensors/s", new Uint8Array([0xff, 0x31])), []);
});

test("all else is attributes", () => {
    assert.deepEqual(decode("sensors/s", bytes('{"value":1,"unit":"°C","seq":7}'))[0].attributes, { unit: "°C", seq: 7 });
});
