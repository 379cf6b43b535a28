// How fluid the page is with many sensors: run by hand, see tests/browser.sh. Prints the times from the start of the navigation to
// the first tile, and the times between frames over a while, with and without somebody who scrolls.
//
//     tests/browser.sh frames          # 2,000 sensors, 1,000 readings a second, 20 s each

import { startGateway, startSensors } from "./support/gateway.js";
import { endBrowser, isLive, openPage } from "./support/page.js";

const SENSORS = Number(process.env.SENSORS ?? 2000);
const RATE = Number(process.env.RATE ?? 1000);
const SECONDS = Number(process.env.SECONDS ?? 20);

const LOADS = 5;

const ends = [];
const gateway = await startGateway({ after: (end) => ends.push(end) });
try {
    await startSensors(gateway, { count: SENSORS, rate: RATE });
    const open = () => openPage({ after() {} }, gateway, { path: "/", motion: "no-preference", prepare: (page) => page.addInitScript(noteFirstTile) });
    const firstTile = async (page) => (await page.waitForFunction(() => globalThis.firstTile)).jsonValue();
    // The first page waits for the browser as well.
    const loads = [];
    for (let turn = 0; turn < LOADS; turn++) {
        const page = await open();
        loads.push(await firstTile(page));
        await page.context().close();
    }
    console.log(`page load to first tile, each with an empty cache: ${loads.map((time) => time.toFixed(0)).join(", ")} ms`);
    const page = await open();
    await isLive(page);
    await page.waitForFunction((count) => document.querySelector(".shown").textContent.startsWith(count), SENSORS.toLocaleString("en-US"));
    console.log(`${SENSORS} sensors, ${RATE} readings a second, ${SECONDS} s each`);
    console.log(`at rest:   ${await measure(page, false)}`);
    console.log(`scrolling: ${await measure(page, true)}`);
    const committed = (await gateway.get("/api/v1/gateway")).readings.committed;
    console.log(`readings committed meanwhile: ${committed}`);
} finally {
    for (const end of ends) await end();
    await endBrowser();
}

// In the page, from its beginning on.
function noteFirstTile() {
    const look = () => {
        if (document.querySelector(".tile-value")) globalThis.firstTile = performance.now();
        else requestAnimationFrame(look);
    };
    look();
}

// Times between frames, how many messages were heard, and how long scripts held the page up at the most.
async function measure(page, isScrolling) {
    const { frames, changed, longTasks } = await page.evaluate(
        ([milliseconds, isScrolling]) =>
            new Promise((resolve) => {
                const frames = [];
                const longTasks = [];
                let changed = 0;
                new PerformanceObserver((list) => longTasks.push(...list.getEntries().map((one) => one.duration))).observe({ type: "longtask" });
                new MutationObserver((all) => (changed += all.length)).observe(document.querySelector(".tiles"), { subtree: true, childList: true, characterData: true, attributes: true });
                const begun = performance.now();
                let last = begun;
                let step = 30;
                const frame = (now) => {
                    frames.push(now - last);
                    last = now;
                    if (isScrolling) {
                        if (scrollY + innerHeight >= document.documentElement.scrollHeight - 50) step = -30;
                        if (scrollY === 0) step = 30;
                        scrollBy(0, step);
                    }
                    if (now - begun < milliseconds) requestAnimationFrame(frame);
                    else resolve({ frames: frames.slice(1), changed, longTasks });
                };
                requestAnimationFrame(frame);
            }),
        [SECONDS * 1000, isScrolling],
    );
    frames.sort((a, b) => a - b);
    const at = (share) => `${frames[Math.min(frames.length - 1, Math.floor(frames.length * share))].toFixed(1)} ms`;
    const late = frames.filter((time) => time > 34).length;
    return `${frames.length} frames, p50 ${at(0.5)}, p95 ${at(0.95)}, p99 ${at(0.99)}, max ${at(1)}; ${late} over 34 ms; ${longTasks.length} tasks over 50 ms; ${changed} changes of tiles`;
}
