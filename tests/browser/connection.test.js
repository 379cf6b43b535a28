// The page shows that it is cut off, and comes back by itself.

import assert from "node:assert/strict";
import test from "node:test";

import { startGateway } from "./support/gateway.js";
import { isLive, openPage, pill, reads, screenshot, tile } from "./support/page.js";

const OUTAGE = [/WebSocket connection to/, /net::ERR_/];

test("after a restart of the gateway it is as if nothing had been", async (t) => {
    const gateway = await startGateway(t);
    await gateway.publish("sensors/boiler", 80);
    const page = await openPage(t, gateway, { expected: OUTAGE });
    await isLive(page);
    await page.locator(".alert").waitFor();

    await gateway.stop();
    await reads(page.locator("#banner"), /Disconnected from the gateway since/);
    await reads(pill(page, "live"), "Disconnected");
    await reads(tile(page, "boiler"), "80");
    await screenshot(page, "disconnected");

    await gateway.restart();
    // While the page was away the alert ended.
    await gateway.post({ sensor_id: "boiler", value: 30 });
    await isLive(page);
    await reads(pill(page, "live"), "Live");
    assert.equal(await page.locator("#banner").textContent(), "");
    await page.locator(".alert").waitFor({ state: "detached" });
    await reads(tile(page, "boiler").locator(".tile-value"), "30");
    await gateway.publish("sensors/boiler", 31);
    await reads(tile(page, "boiler").locator(".tile-value"), "31");
});

test("a page whose gateway is not up yet waits for it", async (t) => {
    const gateway = await startGateway(t);
    const page = await openPage(t, gateway, { expected: OUTAGE });
    await isLive(page);
    const session = "**/api/v1/session";
    await page.route(session, (route) => route.abort());
    await page.reload();
    await reads(page.locator("main"), "The gateway does not answer. Trying again…");
    await page.unroute(session);
    await isLive(page);
});
