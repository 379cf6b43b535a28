// The gateway itself: whether it is well, its store, its numbers, its devices.

import * as api from "../api.js";
import { fill, h, icon, setText } from "../dom.js";
import { onceAFrame } from "../frame.js";
import { poll } from "../poll.js";
import * as words from "../words.js";

const DEVICES_MS = 5000;
const MOST_DEVICES = 500;

export function showSystem(body, gateway) {
    const checks = h("ul", { class: "checks" });
    const meter = h("meter", { class: "budget", min: "0", max: "1", high: "0.9", "aria-labelledby": "store" });
    const budget = h("p", { class: "sentence" });
    const facts = h("dl", { class: "facts" });
    const devices = h("div", {});
    fill(
        body,
        h("section", { class: "card", "aria-labelledby": "health" }, h("h2", { id: "health" }, "Health"), checks),
        h("section", { class: "card", "aria-labelledby": "store" }, h("h2", { id: "store" }, "Store"), budget, meter),
        h("section", { class: "card", "aria-labelledby": "numbers" }, h("h2", { id: "numbers" }, "Numbers"), facts),
        h("section", { class: "card", "aria-labelledby": "devices" }, h("h2", { id: "devices" }, "Devices"), devices),
        h("section", { class: "card", "aria-labelledby": "elsewhere" }, h("h2", { id: "elsewhere" }, "For programs"), links()),
    );

    let painted = "";
    function paint() {
        const { info } = gateway;
        if (!info) return;
        const said = JSON.stringify(info.checks);
        if (said !== painted) fill(checks, info.checks.map(check));
        painted = said;
        paintStore(info.store);
        fill(facts, factsOf(info, gateway).map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));
    }

    function paintStore({ bytes, free_bytes, max_bytes }) {
        const free = free_bytes === null ? "" : `, ${words.bytes(free_bytes)} free on the disk`;
        const limit = max_bytes ?? (free_bytes === null ? null : bytes + free_bytes);
        const of = max_bytes === null ? "" : ` of its budget of ${words.bytes(max_bytes)}`;
        setText(budget, `The store takes ${words.bytes(bytes)}${of}${free}.`);
        meter.hidden = limit === null;
        if (limit !== null) meter.value = bytes / limit;
    }

    const end = gateway.changed.on(onceAFrame(paint));
    const asking = poll(async () => fill(devices, deviceTable(await api.get("/status"))), DEVICES_MS);
    paint();
    return () => {
        end();
        asking.stop();
    };
}

function check({ name, ok, detail }) {
    const condition = ok ? "ok" : "critical";
    const state = h("span", { class: "condition", "data-condition": condition }, icon(condition), h("span", {}, ok ? "Fine" : "Not fine"));
    return h("li", {}, h("b", {}, name), state, detail && h("span", { class: "wrap" }, detail));
}

function factsOf(info, gateway) {
    return [
        ["Gateway", info.gateway_id],
        ["Version", info.version],
        ["Up for", words.duration(info.uptime_seconds)],
        ["Clock", words.time(info.now)],
        ["MQTT at", info.mqtt.address ?? "–"],
        ["MQTT connections", words.count(info.mqtt.connections)],
        ["Sensors", words.count(gateway.sensors.known.size)],
        ["Readings received", words.count(info.readings.received)],
        ["Readings committed", words.count(info.readings.committed)],
        ["Readings rejected", words.count(info.readings.rejected)],
        ["Readings lost", words.count(info.readings.lost)],
    ];
}

function deviceTable(statuses) {
    const names = Object.keys(statuses).sort();
    if (names.length === 0) {
        return h("p", { class: "hint" }, "No device has said how it is. One does so on ", h("code", {}, "status/<device>"), ": ", h("code", {}, "online"), ", and as its last will ", h("code", {}, "offline"), ".");
    }
    const rows = names.slice(0, MOST_DEVICES).map((name) => {
        const isOnline = statuses[name] === "online";
        const condition = isOnline ? "ok" : statuses[name] === "offline" ? "warning" : "info";
        const state = h("span", { class: "condition", "data-condition": condition }, icon(condition), h("span", {}, statuses[name]));
        return h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, state));
    });
    const caption = names.length > MOST_DEVICES ? `The first ${MOST_DEVICES} of ${words.count(names.length)} devices` : words.counted(names.length, "device");
    return h("div", { class: "scroll" }, h("table", {}, h("caption", {}, caption), h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Device"), h("th", { scope: "col" }, "Status"))), h("tbody", {}, rows)));
}

function links() {
    const list = [
        ["/metrics", "Metrics", "for Prometheus"],
        ["/openapi.json", "OpenAPI", "every call of the API"],
        ["/readyz", "Readiness", "every check by name"],
        ["/api/v1/readings?format=csv", "All readings as CSV", "may be large"],
    ];
    return h("ul", { class: "links" }, list.map(([href, text, hint]) => h("li", {}, h("a", { href }, text), ` – ${hint}`)));
}
