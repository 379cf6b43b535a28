// Who may look, and who may do what.

import assert from "node:assert/strict";
import test from "node:test";

import { startGateway } from "./support/gateway.js";
import { isLive, openPage, reads, screenshot, tile } from "./support/page.js";

const REFUSED = [/status of 401/, /WebSocket connection to/];

async function login(page, token) {
    await page.getByLabel("Token").fill(token);
    await page.getByRole("button", { name: "Log in" }).click();
}

test("a token opens the page, and the way out closes it", async (t) => {
    const gateway = await startGateway(t, { tokens: { ann: "admin" } });
    const token = gateway.tokens.ann;
    const page = await openPage(t, gateway, { expected: REFUSED });
    await page.getByLabel("Token").waitFor();
    await screenshot(page, "login");
    await login(page, "wrong");
    await reads(page.getByRole("alert"), "This token is not known.");
    await login(page, token);
    await reads(page.locator("header"), "ann (admin)");
    await isLive(page);
    await gateway.publish("sensors/boiler", 80);
    await page.getByRole("button", { name: "Acknowledge high on boiler" }).click();
    await reads(page.locator(".alert .condition"), "Acknowledged");
    await page.reload();
    await reads(tile(page, "boiler"), "80");
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByLabel("Token").waitFor();
    await page.reload();
    await page.getByLabel("Token").waitFor();
    assert.equal(await page.getByText("boiler").count(), 0);
});

test("who may only read sees all and can change nothing", async (t) => {
    const gateway = await startGateway(t, { tokens: { bob: "read" } });
    const token = gateway.tokens.bob;
    const page = await openPage(t, gateway, { expected: REFUSED });
    await login(page, token);
    await isLive(page);
    await gateway.publish("sensors/boiler", 80);
    const acknowledge = page.getByRole("button", { name: "Acknowledge high on boiler" });
    await acknowledge.waitFor();
    assert.ok(await acknowledge.isDisabled());
    assert.match(await acknowledge.getAttribute("title"), /role write; yours is read/);
    await page.goto(`${gateway.url}/#/rules`);
    for (const name of ["Add a rule", "Save", "Check", "Test", "Edit rule high", "Delete rule high"]) {
        assert.ok(await page.getByRole("button", { name, exact: true }).isDisabled(), name);
    }
});
