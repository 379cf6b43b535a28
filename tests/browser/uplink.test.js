// How it goes with the cloud is told in words, and what the cloud refused can be dealt with.

import assert from "node:assert/strict";
import test from "node:test";

import { startCloud, startGateway } from "./support/gateway.js";
import { openPage, pill, reads, screenshot } from "./support/page.js";

const uplinkTo = (url) => ({
    configuration: `[cloud]\nurl = "${url}"\nbatch_linger = "0ms"\nretry_initial = "200ms"\nretry_max = "2s"\n`,
});

test("without an uplink the page says how to get one", async (t) => {
    const gateway = await startGateway(t);
    await gateway.post({ sensor_id: "s1", value: 60 });
    const page = await openPage(t, gateway, { path: "/#/uplink" });
    await reads(page.locator("main"), "No uplink is configured");
    await reads(page.locator("main"), "1 reading that rules forward waits on disk");
    await reads(pill(page, "uplink"), "No uplink, 1 wait");
});

test("an outage of the cloud and its end are shown", async (t) => {
    const cloud = await startCloud(t);
    const gateway = await startGateway(t, uplinkTo(cloud.url));
    await gateway.post({ sensor_id: "s1", value: 60 });
    const page = await openPage(t, gateway, { path: "/#/uplink" });
    await reads(page.locator(".sentence"), "Everything is delivered.");
    await reads(pill(page, "uplink"), "Uplink delivers");

    await cloud.script({ default: { status: 503 } });
    await gateway.post(Array.from({ length: 1200 }, () => ({ sensor_id: "s1", value: 60 })));
    await reads(page.locator(".sentence"), /^1,200 readings wait, oldest \d+ s.*The last try failed: 503/);
    await reads(pill(page, "uplink"), "Uplink fails, 1,200 wait");
    await screenshot(page, "outage");

    await cloud.script({ default: { status: 200 } });
    await reads(page.locator(".sentence"), "Everything is delivered.");
    await reads(pill(page, "uplink"), "Uplink delivers");
});

test("dead letters are tried again, or dropped after a question", async (t) => {
    const cloud = await startCloud(t);
    const gateway = await startGateway(t, uplinkTo(cloud.url));
    await cloud.script({ poison_sensors: ["bad", "worse"] });
    await gateway.post([{ sensor_id: "bad", value: 60 }, { sensor_id: "good", value: 60 }, { sensor_id: "worse", value: 60 }]);
    const page = await openPage(t, gateway, { path: "/#/uplink" });
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 2);
    await reads(page.locator("tbody"), "422");
    await screenshot(page, "dead-letters");

    await cloud.script({});
    await page.getByRole("button", { name: "Retry the dead letter of bad" }).click();
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1);
    await page.getByRole("button", { name: "Drop the dead letter of worse" }).click();
    await reads(page.locator("dialog"), "Drop this dead letter?");
    await page.keyboard.press("Escape");
    await page.locator("dialog").waitFor({ state: "detached" });
    assert.equal(await page.locator("tbody tr").count(), 1);
    await page.getByRole("button", { name: "Drop the dead letter of worse" }).click();
    await page.locator("dialog").getByRole("button", { name: "Drop" }).click();
    await page.getByText("None: the receiver has taken every reading").waitFor();
    assert.deepEqual((await gateway.get("/api/v1/dead-letters")).items, []);
});
