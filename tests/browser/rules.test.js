// Rules are edited, checked, tried against the past and saved.

import assert from "node:assert/strict";
import test from "node:test";

import { startGateway } from "./support/gateway.js";
import { isLive, openPage, reads, screenshot } from "./support/page.js";

const REFUSED = [/status of (409|422).*rules/];

test("a rule is written, its fault is shown where it is, then it works", async (t) => {
    const gateway = await startGateway(t, { top: 'rules_file = "rules.toml"' });
    await gateway.post([{ sensor_id: "cellar", value: 3 }, { sensor_id: "cellar", value: 9 }]);
    const page = await openPage(t, gateway, { path: "/#/rules", expected: REFUSED });
    await isLive(page);
    await reads(page.locator(".rules"), "value > 75");
    assert.ok(await page.getByRole("button", { name: "Save" }).isDisabled());

    await page.getByRole("button", { name: "Add a rule" }).click();
    await page.getByLabel("Name", { exact: true }).fill("frost");
    await page.getByLabel("When", { exact: true }).fill("valeu < 5");
    await page.getByLabel("Severity", { exact: true }).selectOption("critical");
    await reads(page.getByRole("status"), "Not saved yet.");
    // Who looks something up meanwhile finds it again.
    await page.getByRole("link", { name: "System" }).click();
    await reads(page.locator("h1"), "System");
    await page.getByRole("link", { name: "Rules" }).click();
    await page.getByRole("button", { name: "Edit rule frost" }).click();
    await page.getByRole("button", { name: "Check" }).click();
    await reads(page.locator(".field-when .fault"), /did you mean `value`/);
    await reads(page.locator(".faults"), "1 fault in the rules.");
    await screenshot(page, "rule-fault");

    await page.getByLabel("When", { exact: true }).fill("value < 5");
    await page.getByRole("button", { name: "Check" }).click();
    await reads(page.locator(".toast"), "The rules have no fault.");
    await page.getByRole("button", { name: "Test", exact: true }).click();
    await reads(page.locator("caption"), "2 readings from");
    await reads(page.locator("tbody tr", { hasText: "frost" }).locator("td").first(), "1");
    await screenshot(page, "rule-trial");

    await page.getByRole("button", { name: "Save" }).click();
    await reads(page.locator(".toast").last(), "The rules are saved and in force.");
    const names = (await gateway.get("/api/v1/rules")).items.map(({ name }) => name);
    assert.deepEqual(names, ["high", "important", "frost"]);
    await gateway.publish("sensors/cellar", 2);
    await page.getByRole("link", { name: "Overview" }).click();
    await reads(page.locator(".alert").first(), "Critical");
});

test("keys that the form does not show stay; rules move and go after a question", async (t) => {
    const gateway = await startGateway(t, { top: 'rules_file = "rules.toml"' });
    const rule = { name: "slow", over: "5m", when: "avg > 60", lateness: "5s", actions: ["publish:warm", "alert"], topics: ["sensors/a,b", "sensors/c"] };
    await gateway.put("/api/v1/rules", { rule: [{ name: "high", when: "value > 75", actions: ["alert"] }, rule] });
    const page = await openPage(t, gateway, { path: "/#/rules" });
    await page.getByRole("button", { name: "Edit rule slow" }).click();
    await page.getByLabel("Message", { exact: true }).fill("warm");
    await page.getByRole("button", { name: "Close rule slow" }).click();
    await page.getByRole("button", { name: "Move up rule slow" }).click();
    await page.getByRole("button", { name: "Delete rule high" }).click();
    await page.locator("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByRole("button", { name: "Save" }).click();
    await reads(page.locator(".toast"), "saved");
    assert.deepEqual((await gateway.get("/api/v1/rules")).items, [{ ...rule, message: "warm" }]);
});

test("without a rules file the page says what is missing", async (t) => {
    const gateway = await startGateway(t);
    const page = await openPage(t, gateway, { path: "/#/rules", expected: REFUSED });
    await page.getByRole("button", { name: "Move down rule high" }).click();
    await page.getByRole("button", { name: "Save" }).click();
    await reads(page.locator(".faults"), 'rules_file = "data/rules.toml"');
    await page.getByRole("button", { name: "Discard changes" }).click();
    await reads(page.locator(".rules li").first(), "high");
});
