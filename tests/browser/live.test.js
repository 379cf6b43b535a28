// What comes is seen at once.

import assert from "node:assert/strict";
import test from "node:test";

import { startGateway, startSensors } from "./support/gateway.js";
import { isLive, openPage, pill, reads, screenshot, tile } from "./support/page.js";

test("a newcomer is told what to do, and the line does it", async (t) => {
    const gateway = await startGateway(t);
    const page = await openPage(t, gateway);
    await reads(pill(page, "live"), "Live");
    await reads(page.locator("header"), "edge-test");
    const line = await page.locator(".welcome code").first().textContent();
    assert.equal(line, `mosquitto_pub -p ${gateway.mqttPort} -t sensors/boiler -m 80`);
    await screenshot(page, "welcome");
    await gateway.publish("sensors/boiler", 80);
    await reads(tile(page, "boiler").locator(".tile-value"), "80");
    await page.locator(".welcome").waitFor({ state: "detached" });
});

test("a tile follows its sensor, by MQTT and by HTTP", async (t) => {
    const gateway = await startGateway(t);
    const page = await openPage(t, gateway);
    await isLive(page);
    await gateway.publish("sensors/boiler", '{"value":61.25,"unit":"°C"}');
    await reads(tile(page, "boiler").locator(".tile-value"), "61.25");
    await reads(tile(page, "boiler"), "°C");
    await reads(tile(page, "boiler").locator(".condition"), "Normal");
    await gateway.publish("sensors/boiler", 62.5);
    await reads(tile(page, "boiler").locator(".tile-value"), "62.5");
    await gateway.publish("sensors/hall/air", '{"temperature":21.5,"humidity":40}');
    await reads(tile(page, "air/temperature").locator(".tile-value"), "21.5");
    await reads(tile(page, "air/humidity").locator(".tile-value"), "40");
    await gateway.post({ sensor_id: "web", value: 7 });
    await reads(tile(page, "web").locator(".tile-value"), "7");
});

test("names and messages are shown as they are, whatever is in them", async (t) => {
    const gateway = await startGateway(t, {
        configuration: `[[rule]]\nname = "high"\nwhen = "value > 75"\nmessage = "<b>%{sensor_id}</b>"\nactions = ["alert"]`,
    });
    const page = await openPage(t, gateway);
    await isLive(page);
    const name = `<img src=x onerror="document.title='broken in'">`;
    await gateway.publish("sensors/x", JSON.stringify({ sensor_id: name, value: 90, unit: "<i>" }));
    const shown = page.locator(".tile-name").first();
    await reads(shown, name);
    await reads(page.locator(".alert-message"), `<b>${name}</b>`);
    assert.equal(await page.locator("main img, main b, main i").count(), 0);
    assert.doesNotMatch(await page.title(), /broken in/);
});

test("a fleet is shown, ordered and filtered", async (t) => {
    const gateway = await startGateway(t);
    const page = await openPage(t, gateway);
    await isLive(page);
    await startSensors(gateway, { count: 20, rate: 200 });
    await reads(page.locator(".shown"), /^20\b/);
    const before = await tile(page, "s3").locator(".tile-value").textContent();
    await page.waitForFunction(
        (old) => document.querySelector(".tile[data-sensor=s3] .tile-value").textContent !== old,
        before,
    );
    await page.getByLabel("Order").selectOption("name");
    await page.waitForFunction(() => {
        const names = [...document.querySelectorAll(".tile-name")].map((one) => one.textContent);
        return names[0] === "s1" && names[1] === "s2" && names.at(-1) === "s20";
    });
    await page.getByLabel("Filter by name").fill("s1");
    await reads(page.locator(".shown"), /^11 of 20/);
    await page.getByLabel("Filter by name").fill("nobody");
    await reads(page.locator(".empty"), "No sensor has a name like this.");
});

test("of two thousand sensors only those in view are in the page, and all can be reached", async (t) => {
    const gateway = await startGateway(t);
    const readings = Array.from({ length: 2000 }, (_, number) => ({ sensor_id: `m${number}`, value: number % 70 }));
    await gateway.post(readings);
    const page = await openPage(t, gateway);
    await reads(page.locator(".shown"), /^2,000/);
    await reads(tile(page, "m0"), "m0");
    assert.ok((await page.locator(".tile").count()) < 100);
    await page.keyboard.press("End");
    await reads(tile(page, "m1999").locator(".tile-value"), String(1999 % 70));
    assert.ok((await page.locator(".tile").count()) < 100);
    const last = page.locator(".tile").last();
    assert.equal(await last.getAttribute("aria-posinset"), "2000");
    assert.equal(await last.getAttribute("aria-setsize"), "2000");
});
