// All of it by keyboard.

import assert from "node:assert/strict";
import test from "node:test";

import { startGateway } from "./support/gateway.js";
import { isLive, openPage, reads, tile } from "./support/page.js";

const focused = (page) => page.evaluate(() => document.activeElement.textContent.trim() || document.activeElement.id);

// Presses Tab until something of this text has the focus.
async function tabTo(page, text, most = 60) {
    for (let presses = 0; presses < most; presses++) {
        await page.keyboard.press("Tab");
        if ((await focused(page)).startsWith(text)) return;
    }
    assert.fail(`no way to ${text} by Tab`);
}

test("views, tiles, alerts and dialogs by keyboard", async (t) => {
    const gateway = await startGateway(t);
    await gateway.post([{ sensor_id: "boiler", value: 80 }, { sensor_id: "pump", value: 3 }]);
    const page = await openPage(t, gateway);
    await isLive(page);
    await tile(page, "pump").waitFor();
    await page.keyboard.press("Tab");
    assert.equal(await focused(page), "Skip to the content");

    await tabTo(page, "Acknowledge");
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.equal(outline, "solid");
    await page.keyboard.press("Enter");
    await reads(page.locator(".alert .condition"), "Acknowledged");

    await tile(page, "pump").locator("a").focus();
    await page.keyboard.press("Enter");
    await reads(page.locator("h1"), "Charts");
    assert.equal(await focused(page), "Charts");
    await tabTo(page, "Zoom in");
    await page.keyboard.press("Space");
    await page.waitForFunction(() => /span=450000/.test(location.hash));

    await page.getByRole("link", { name: "Rules", exact: true }).focus();
    await page.keyboard.press("Enter");
    await reads(page.locator(".rules"), "high");
    await tabTo(page, "Delete…");
    await page.keyboard.press("Enter");
    assert.equal(await focused(page), "Cancel");
    await page.keyboard.press("Escape");
    await page.locator("dialog").waitFor({ state: "detached" });
    assert.equal(await focused(page), "Delete…");
});
