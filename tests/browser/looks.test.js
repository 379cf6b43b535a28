// Every view, in light and dark, on a desk and in a hand: nothing that axe finds serious, nothing that sticks out.

import assert from "node:assert/strict";
import test from "node:test";

import { startCloud, startGateway, until } from "./support/gateway.js";
import { DESKTOP, findings, isLive, openPage, PHONE, reads, screenshot, tile } from "./support/page.js";

const MINUTE = 60_000;

// A plant with something of everything.
const PLANT = [
    ["boiler/1", 62, 15, "°C"], ["boiler/2", 58, 8, "°C"], ["press/4/pressure", 6.2, 0.8, "bar"], ["press/5/pressure", 5.9, 0.4, "bar"],
    ["line-1/speed", 48, 6, "m/min"], ["line-2/speed", 71, 5.5, "m/min"], ["tank/level", 33, 9, "%"], ["compressor/current", 12.4, 1.5, "A"],
    ["hall-3/temperature", 21, 2, "°C"], ["hall-3/humidity", 44, 5, "%"], ["freezer/1", -19.5, 1.2, "°C"], ["freezer/2", -18.1, 0.9, "°C"],
];

const VIEWS = {
    overview: ["/", (page) => tile(page, "boiler/1").waitFor()],
    charts: ["/#/charts?s=boiler%2F1&s=boiler%2F2", (page) => reads(page.locator(".chart-tables"), "boiler-hot")],
    alerts: ["/#/alerts", (page) => reads(page.locator("tbody"), "boiler-hot")],
    uplink: ["/#/uplink", (page) => reads(page.locator("tbody"), "tank/level")],
    rejects: ["/#/rejects", (page) => reads(page.locator("tbody"), "sensors/broken")],
    rules: ["/#/rules", (page) => reads(page.locator(".rules"), "boiler-hot")],
    system: ["/#/system", (page) => reads(page.locator(".checks"), "Fine")],
};

async function plant(t) {
    const cloud = await startCloud(t);
    await cloud.script({ poison_sensors: ["tank/level"] });
    const gateway = await startGateway(t, {
        top: 'rules_file = "rules.toml"',
        configuration: `[cloud]
url = "${cloud.url}"
batch_linger = "0ms"
retry_initial = "30s"
[[rule]]
name = "high"
when = "value > 75"
actions = ["alert"]
[[rule]]
name = "boiler-hot"
topics = ["sensors/boiler/#"]
when = "value > 70"
clear = "value < 66"
repeat = "on-change"
severity = "critical"
message = "%{sensor_id} is at %{value} °C"
actions = ["alert", "forward"]
[[rule]]
name = "level"
topics = ["sensors/tank/level"]
when = "value > 41.9"
actions = ["forward"]`,
    });
    const now = Date.now();
    const readings = [];
    for (let at = now - 14 * MINUTE; at < now; at += 5000) {
        const turn = (now - at) / (2.5 * MINUTE);
        for (const [place, [sensor_id, middle, reach, unit]] of PLANT.entries()) {
            const value = middle + reach * Math.cos(turn + place * 1.7 * Math.sign(place)) + reach * 0.06 * Math.sin(at * (place + 1));
            readings.push({ sensor_id, value: Math.round(value * 100) / 100, ts: at, unit });
        }
    }
    await gateway.post(readings);
    for (const message of ["hello", '{"value":"warm"}', "x".repeat(200)]) await gateway.publish("sensors/broken", message);
    await gateway.publish("status/boiler", "online");
    await gateway.publish("status/press", "offline");
    await until(async () => (await gateway.get("/api/v1/dead-letters")).items.length > 0);
    await cloud.script({ poison_sensors: ["tank/level"], default: { status: 503 } });
    await gateway.post([{ sensor_id: "boiler/1", value: 77.4, unit: "°C" }, { sensor_id: "line-2/speed", value: 76.2, unit: "m/min" }]);
    return gateway;
}

test("the views", async (t) => {
    const gateway = await plant(t);
    for (const [device, viewport] of Object.entries({ desk: DESKTOP, phone: PHONE })) {
        for (const colours of ["light", "dark"]) {
            for (const [name, [path, isThere]] of Object.entries(VIEWS)) {
                await t.test(`${name}, ${device}, ${colours}`, async (t) => {
                    const page = await openPage(t, gateway, { path, viewport, colours });
                    await isLive(page);
                    await isThere(page);
                    await page.waitForFunction(() => !document.querySelector(".plot") || document.querySelector(".plot canvas"));
                    // The sparklines have their past then.
                    await page.waitForLoadState("networkidle");
                    await screenshot(page, `${name}-${device}-${colours}`);
                    assert.deepEqual(await findings(page), []);
                    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
                    assert.ok(wide <= 0, `${wide} pixels wider than the window`);
                });
            }
        }
    }
});

test("forms, dialogs and the way in, as axe sees them", async (t) => {
    const gateway = await startGateway(t, { tokens: { ann: "admin" } });
    const token = gateway.tokens.ann;
    for (const colours of ["light", "dark"]) {
        const page = await openPage(t, gateway, { colours, expected: [/status of 401/, /WebSocket/], path: "/#/rules" });
        await page.getByLabel("Token").fill(token);
        assert.deepEqual(await findings(page), [], "login");
        await page.getByRole("button", { name: "Log in" }).click();
        await page.getByRole("button", { name: "Edit rule high" }).click();
        await screenshot(page, `rule-form-${colours}`);
        assert.deepEqual(await findings(page), [], "form");
        await page.getByRole("button", { name: "Delete rule important" }).click();
        await page.locator("dialog").waitFor();
        await screenshot(page, `dialog-${colours}`);
        assert.deepEqual(await findings(page), [], "dialog");
    }
});

test("colours follow the choice, and the choice is kept", async (t) => {
    const gateway = await startGateway(t);
    const page = await openPage(t, gateway);
    const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const light = await ground();
    const turn = page.getByRole("button", { name: /^Colours/ });
    await turn.click();
    assert.equal(await ground(), light);
    await turn.click();
    await reads(page.locator("#said"), "Colours: dark");
    assert.notEqual(await ground(), light);
    await page.reload();
    await turn.waitFor();
    assert.notEqual(await ground(), light);
});
