// Alerts are seen within a second, can be acknowledged, and go.

import assert from "node:assert/strict";
import test from "node:test";

import { startGateway } from "./support/gateway.js";
import { isLive, openPage, pill, reads, screenshot, tile } from "./support/page.js";

test("an alert is there within a second of the publish, and clears", async (t) => {
    const gateway = await startGateway(t);
    await gateway.publish("sensors/boiler", 20);
    const page = await openPage(t, gateway);
    await isLive(page);
    await reads(tile(page, "boiler").locator(".condition"), "Normal");

    const begun = Date.now();
    await gateway.publish("sensors/boiler", 80);
    await page.locator(".alert").waitFor();
    await reads(tile(page, "boiler").locator(".condition"), "Alert");
    const passed = Date.now() - begun;
    assert.ok(passed < 1000, `it took ${passed} ms`);
    t.diagnostic(`alert and tile ${passed} ms after the publish began`);

    await reads(page.locator(".alert"), "80");
    await reads(pill(page, "alerts"), "1 open alert");
    await page.waitForFunction(() => document.title.startsWith("(1) "));
    await reads(page.locator("#said"), "New alert: high on boiler, 80");
    await screenshot(page, "alert");

    await gateway.publish("sensors/boiler", 20);
    await page.locator(".alert").waitFor({ state: "detached" });
    await reads(pill(page, "alerts"), "No open alerts");
    await reads(tile(page, "boiler").locator(".condition"), "Normal");
});

test("what is acknowledged says so, everywhere", async (t) => {
    const gateway = await startGateway(t);
    await gateway.publish("sensors/boiler", 80);
    const page = await openPage(t, gateway);
    const other = await openPage(t, gateway, { path: "/#/alerts" });
    await isLive(other);
    await page.getByRole("button", { name: "Acknowledge high on boiler" }).click();
    for (const one of [page, other]) {
        await reads(one.locator(".alert .condition"), "Acknowledged");
        assert.equal(await one.locator(".alert button").count(), 0);
    }
    await reads(tile(page, "boiler").locator(".condition"), "Acknowledged");
    await reads(other.locator("tbody tr").first(), "Acknowledged");
});

test("many alerts: the worst first, all can be acknowledged, the past can be searched", async (t) => {
    const gateway = await startGateway(t, {
        configuration: `[[rule]]
name = "high"
when = "value > 75"
actions = ["alert"]
[[rule]]
name = "burning"
when = "value > 90"
severity = "critical"
message = "%{sensor_id} burns at %{value}"
actions = ["alert"]`,
    });
    await gateway.post(Array.from({ length: 8 }, (_, number) => ({ sensor_id: `p${number}`, value: 80 + 2 * number })));
    const page = await openPage(t, gateway);
    await reads(page.locator(".alert").first(), "Critical");
    await reads(page.locator(".alert").first(), /burns at/);
    const all = (number) => page.getByRole("link", { name: `All ${number} open alerts` });
    await all(10).focus();
    await gateway.publish("sensors/p0", 20);
    await all(9).waitFor();
    await gateway.publish("sensors/p0", 80);
    await all(10).waitFor();
    assert.equal(await all(10).evaluate((link) => link === document.activeElement), true, "it keeps the focus");
    await all(10).click();
    await reads(page.locator("h1"), "Alerts");
    assert.equal(await page.locator(".alert").count(), 10);
    await page.getByLabel("Only of this sensor").fill("p7");
    await page.getByRole("button", { name: "Show" }).click();
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 2);
    await screenshot(page, "alerts");
    await page.getByRole("button", { name: "Acknowledge all" }).click();
    await reads(page.locator(".toast"), "10 alerts acknowledged.");
    await page.waitForFunction(() => document.querySelectorAll(".alert[data-condition=seen]").length === 10);
});
