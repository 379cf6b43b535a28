// What could not be read is listed, with what it was, and can be tried again or dropped.

import assert from "node:assert/strict";
import test from "node:test";

import { startGateway } from "./support/gateway.js";
import { openPage, reads, screenshot } from "./support/page.js";

test("rejects are listed, tried again and dropped", async (t) => {
    const gateway = await startGateway(t);
    const page = await openPage(t, gateway, { path: "/#/rejects", expected: [/status of 422.*rejects/] });
    await reads(page.locator(".card.empty"), "Nothing was rejected");
    await gateway.publish("sensors/broken", "<script>hello</script>");
    await gateway.publish("sensors/broken", `{"value":"${"long".repeat(50)}"}`);
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 2);
    await reads(page.locator("tbody"), "<script>hello</script>");
    await page.locator("summary").click();
    await reads(page.locator("details pre"), "long".repeat(50));
    await screenshot(page, "rejects");

    // What is still wrong stays, and the page says why.
    await page.getByRole("button", { name: "Retry the reject of sensors/broken" }).first().click();
    await page.locator(".toast.trouble").waitFor();
    assert.equal(await page.locator("tbody tr").count(), 2);
    await page.getByRole("button", { name: "Close" }).click();

    await page.getByRole("button", { name: "Drop all shown…" }).click();
    await reads(page.locator("dialog"), "Drop 2 rejects?");
    await page.getByRole("button", { name: "Drop all", exact: true }).click();
    await reads(page.locator(".card.empty"), "Nothing was rejected");
    assert.deepEqual((await gateway.get("/api/v1/rejects")).items, []);
});
