// Sensors over time: stored series, thresholds, alerts, zoom.

import assert from "node:assert/strict";
import test from "node:test";

import { startGateway } from "./support/gateway.js";
import { isLive, openPage, reads, screenshot, tile } from "./support/page.js";

const MINUTE = 60_000;

// Ten minutes of two sensors, a reading in two seconds; one of them was over 75 for a while.
async function past(gateway) {
    const now = Date.now();
    const readings = [];
    for (let at = now - 10 * MINUTE; at < now; at += 2000) {
        const turn = (now - at) / MINUTE;
        readings.push({ sensor_id: "boiler", value: Math.round((60 + 20 * Math.sin(turn)) * 10) / 10, ts: at });
        readings.push({ sensor_id: "pump", value: Math.round((40 + 5 * Math.cos(turn * 2)) * 10) / 10, ts: at });
    }
    await gateway.post(readings);
}

// How many pixels of the chart are drawn.
const ink = (page) =>
    page.evaluate(() => {
        const canvas = document.querySelector(".plot canvas");
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let drawn = 0;
        for (let place = 3; place < data.length; place += 4) drawn += data[place] > 0 ? 1 : 0;
        return drawn;
    });

test("a tile leads to its chart, with thresholds, alerts and numbers", async (t) => {
    const gateway = await startGateway(t);
    await past(gateway);
    const page = await openPage(t, gateway);
    await tile(page, "boiler").locator("a").click();
    await reads(page.locator("h1"), "Charts");
    await reads(page.locator(".chart-tables"), "Lines: high > 75; important > 50.");
    await reads(page.locator("caption"), "Alerts in the time shown");
    const row = page.locator("tbody tr").first();
    await reads(row, "boiler");
    await reads(row, "300");
    await page.waitForFunction(() => document.querySelector(".plot canvas"));
    assert.ok((await ink(page)) > 2000);

    await page.getByLabel("Sensor to add").fill("pum");
    await page.getByRole("button", { name: "Add" }).click();
    await reads(page.locator(".chips"), "pump");
    await reads(page.locator(".chart-tables tbody").first(), "pump");
    await screenshot(page, "chart");

    // The address is the chart: it can be sent to somebody.
    const same = await openPage(t, gateway, { path: `/${new URL(page.url()).hash}` });
    await reads(same.locator(".chips"), "boiler");
    await reads(same.locator(".chips"), "pump");
    await page.getByRole("button", { name: "Remove boiler from the chart" }).click();
    await page.waitForFunction(() => document.querySelectorAll(".chip").length === 1);
});

test("one can look closer and come back, by mouse and by buttons", async (t) => {
    const gateway = await startGateway(t);
    await past(gateway);
    const page = await openPage(t, gateway, { path: "/#/charts?s=boiler" });
    const count = async () => Number((await page.locator("tbody tr").first().locator("td").nth(4).textContent()).replace(",", ""));
    await reads(page.locator("tbody tr").first(), "300");
    const box = await page.locator(".u-over").boundingBox();
    await page.mouse.move(box.x + box.width * 0.4, box.y + 50);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.6, box.y + 60, { steps: 5 });
    await page.mouse.up();
    await page.waitForFunction(() => /from=\d+/.test(location.hash));
    await reads(page.locator(".chart .when"), / to /);
    await page.waitForFunction(() => Number(document.querySelector("tbody tr").children[5].textContent) < 150);
    const near = await count();
    assert.ok(near > 20, `${near} readings`);
    assert.equal(await page.getByRole("button", { name: "Follow" }).getAttribute("aria-pressed"), "false");
    await page.getByRole("button", { name: "Zoom out" }).click();
    await page.waitForFunction((few) => Number(document.querySelector("tbody tr").children[5].textContent) > few, near);
    await page.getByRole("button", { name: "Earlier" }).click();
    await page.getByRole("button", { name: "Follow" }).click();
    await page.waitForFunction(() => /[?&]span=\d+/.test(location.hash));
    await page.getByRole("button", { name: "15 min" }).click();
    await reads(page.locator("tbody tr").first(), "300");
    await page.getByRole("button", { name: "1 h", exact: true }).click();
    await reads(page.locator(".chart .when"), "The last 1 h.");
});

test("a chart that follows the clock shows what comes", async (t) => {
    const gateway = await startGateway(t);
    await gateway.publish("sensors/boiler", 20);
    const page = await openPage(t, gateway, { path: "/#/charts?s=boiler" });
    await isLive(page);
    await reads(page.locator("tbody tr").first(), "20");
    await gateway.publish("sensors/boiler", 44);
    await reads(page.locator("tbody tr").first(), "44");
    await reads(page.locator(".chip-value"), "44");
});

test("who has chosen nothing is offered sensors", async (t) => {
    const gateway = await startGateway(t);
    await gateway.post([{ sensor_id: "a", value: 1 }, { sensor_id: "b", value: 2 }]);
    const page = await openPage(t, gateway, { path: "/#/charts" });
    await page.getByRole("button", { name: "b", exact: true }).click();
    await reads(page.locator("tbody tr").first(), "b");
});
