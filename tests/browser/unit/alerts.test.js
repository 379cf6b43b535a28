// Which alerts are open, whatever comes first: events or the API's answer.

import assert from "node:assert/strict";
import test from "node:test";

import { createAlerts } from "../../../gateway/dashboard/app/alerts.js";

const event = (alert_id, episode, state, more = {}) => ({ alert_id, episode, state, sensor_id: "s1", rule: "high", value: 80, ts: 1, ...more });
const ids = (alerts) => alerts.list().map(({ alert_id }) => alert_id);

test("events open and clear", () => {
    const alerts = createAlerts();
    const raised = [];
    alerts.raised.on(({ alert_id }) => raised.push(alert_id));
    alerts.take(event(1, 1, "raised"));
    alerts.take(event(2, 1, "raised"));
    alerts.take(event(1, 1, "raised"));
    assert.deepEqual(ids(alerts), [2]);
    assert.deepEqual(raised, [1]);
    alerts.take(event(3, 1, "acknowledged"));
    assert.equal(alerts.of("s1")[0].state, "acknowledged");
    alerts.take(event(4, 1, "cleared"));
    assert.deepEqual(ids(alerts), []);
    // It came late.
    alerts.take(event(2, 1, "raised"));
    assert.deepEqual(ids(alerts), []);
});

test("an answer that was under way does not undo what came meanwhile", () => {
    const alerts = createAlerts();
    alerts.take(event(1, 1, "raised"));
    const since = alerts.newest();
    alerts.take(event(2, 1, "cleared"));
    alerts.take(event(3, 3, "raised"));
    alerts.replace([event(1, 1, "raised"), event(0, 9, "raised", { alert_id: 9 })], since);
    assert.deepEqual(ids(alerts), [9, 3]);
    // What the answer does not have any more is over.
    alerts.replace([event(3, 3, "raised")], alerts.newest());
    assert.deepEqual(ids(alerts), [3]);
});

test("the worst stand first, those that were seen last", () => {
    const alerts = createAlerts();
    alerts.take(event(1, 1, "raised", { severity: "critical" }));
    alerts.take(event(2, 2, "raised"));
    alerts.take(event(3, 3, "raised", { severity: "info" }));
    alerts.take(event(4, 4, "raised", { severity: "critical" }));
    alerts.take(event(5, 4, "acknowledged", { severity: "critical" }));
    assert.deepEqual(ids(alerts), [1, 2, 3, 5]);
});
