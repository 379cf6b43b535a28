// The lines that rules draw into a chart.

import assert from "node:assert/strict";
import test from "node:test";

import { comparisons, thresholds } from "../../../gateway/dashboard/app/thresholds.js";
import { matches } from "../../../gateway/dashboard/app/topics.js";

test("comparisons with a number are found in expressions", () => {
    const check = (expression, ...expected) =>
        assert.deepEqual(comparisons(expression).map(({ operator, value }) => `${operator} ${value}`), expected, expression);
    check("value > 75", "> 75");
    check("value>=75.5", ">= 75.5");
    check("75 < value", "> 75");
    check("value < -20.0 || value > 5", "< -20", "> 5");
    check("sensor_id == \"value > 3\" && value > 1e3", "> 1000");
    check("avg > 60 && count >= 10", "> 60");
    check("attributes.value > 3");
    check("value > other");
    check("previous.value < 3");
    check("value > 3 * 2", "> 3");
});

test("rules draw for the sensors that they look at", () => {
    const rules = [
        { name: "high", when: "value > 75", clear: "value < 70", actions: ["alert"] },
        { name: "boilers", topics: ["sensors/boiler/#"], when: "value > 60" },
        { name: "one", when: "sensor_id == 'pump' && value < 3", severity: "critical" },
        { name: "silent", absent_for: "2m" },
    ];
    const of = (sensor, topic) => thresholds(rules, sensor, topic).map(({ rule, kind, operator, value }) => `${rule} ${kind} ${operator} ${value}`);
    assert.deepEqual(of("s1"), ["high when > 75", "high clear < 70"]);
    assert.deepEqual(of("boiler/1"), ["high when > 75", "high clear < 70", "boilers when > 60"]);
    assert.deepEqual(of("x", "sensors/boiler/x"), ["high when > 75", "high clear < 70", "boilers when > 60"]);
    assert.deepEqual(of("pump"), ["high when > 75", "high clear < 70", "one when < 3"]);
});

test("topic filters", () => {
    const check = (filter, topic, expected) => assert.equal(matches(filter, topic), expected, `${filter} ${topic}`);
    check("sensors/#", "sensors/a/b", true);
    check("sensors/#", "sensors", true);
    check("sensors/+", "sensors/a", true);
    check("sensors/+", "sensors/a/b", false);
    check("+/a", "sensors/a", true);
    check("#", "$SYS/x", false);
    check("a/b", "a", false);
});
