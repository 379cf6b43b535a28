// A page in Chromium. What it complains about fails the test.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { axe, chromium } from "./modules.js";

const SCREENSHOTS = process.env.SCREENSHOTS;
const FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
export const DESKTOP = { width: 1360, height: 850 };
export const PHONE = { width: 390, height: 844 };

let browser = null;

export async function endBrowser() {
    await browser?.close();
}

// `expected`: patterns of console errors that belong to the test, such as refused connections while the gateway is away.
export async function openPage(t, gateway, { path = "/", expected = [], viewport = DESKTOP, colours = "light", motion = "reduce", prepare } = {}) {
    browser ??= await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
    const context = await browser.newContext({
        viewport,
        colorScheme: colours,
        reducedMotion: motion,
        deviceScaleFactor: viewport.width < 500 ? 2 : 1,
        hasTouch: viewport.width < 500,
        locale: "en-US",
        acceptDownloads: true,
    });
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    const complaints = [];
    let isClosed = false;
    page.on("console", (message) => {
        if (message.type() === "error") complaints.push(`${message.text()} (${message.location().url})`);
    });
    page.on("pageerror", (error) => complaints.push(error.stack));
    const stop = async () => {
        if (isClosed) return;
        isClosed = true;
        await context.close();
        const unexpected = complaints.filter((one) => !expected.some((pattern) => pattern.test(one)));
        assert.deepEqual(unexpected, [], "the page complained");
    };
    gateway.clients.push({ stop });
    t.after(stop);
    await prepare?.(page);
    await page.goto(gateway.url + path);
    return page;
}

// Until the page has subscribed: what is published from now on reaches it.
export const isLive = (page) => page.locator("html[data-connection='live']").waitFor();

export const tile = (page, sensor) => page.locator(`.tile[data-sensor="${sensor}"]`);

export const pill = (page, name) => page.locator(`[data-pill="${name}"]`);

// Waits for a text as it stands in an element, or as a pattern of it.
export async function reads(locator, text) {
    const filter = locator.filter({ hasText: text });
    try {
        await filter.first().waitFor();
    } catch {
        const found = await locator.allTextContents();
        assert.fail(`expected ${text}, found ${JSON.stringify(found)}`);
    }
}

export async function screenshot(page, name) {
    if (!SCREENSHOTS) return;
    await mkdir(SCREENSHOTS, { recursive: true });
    await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
}

// What axe finds that is serious or critical.
export async function findings(page) {
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    return violations
        .filter(({ impact }) => impact === "serious" || impact === "critical")
        .map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target} ${node.failureSummary}`).join("; ")}`);
}
