// All sensors as tiles, and the alerts that are open.

import { CONDITIONS, conditionOf } from "../conditions.js";
import { fill, h, setText } from "../dom.js";
import { onceAFrame } from "../frame.js";
import { openAlerts } from "../open-alerts.js";
import { createTileGrid } from "../tile-grid.js";
import * as words from "../words.js";
import { welcome } from "../welcome.js";

// Tiles change their places no more often than people can follow, and not under their fingers.
const SORT_MS = 1000;
const REST_MS = 3000;
const MOST_ALERTS = 5;

const ORDERS = {
    state: "State, then name",
    name: "Name",
    newest: "Newest reading",
    value: "Value, highest first",
};

const collator = new Intl.Collator(undefined, { numeric: true });

export function showOverview(body, gateway) {
    const filter = h("input", { type: "search", id: "filter", placeholder: "Filter", spellcheck: "false", autocomplete: "off" });
    const order = h("select", { id: "order" }, Object.entries(ORDERS).map(([value, text]) => h("option", { value }, text)));
    const shown = h("p", { class: "shown" });
    const empty = h("div", {});
    const grid = createTileGrid(gateway);
    const alerts = openAlerts(gateway, MOST_ALERTS);
    const bar = h(
        "div",
        { class: "bar" },
        h("h2", { id: "sensors" }, "Sensors"),
        shown,
        h("label", { class: "hidden", for: "filter" }, "Filter by name"),
        filter,
        h("label", { class: "hidden", for: "order" }, "Order"),
        order,
    );
    fill(body, alerts.element, h("section", { "aria-labelledby": "sensors" }, bar, empty, grid.element));

    let movedAt = -Infinity;
    let isStale = true;
    let isWelcome = null;

    function sort() {
        isStale = false;
        const wanted = filter.value.trim().toLowerCase();
        const now = gateway.now();
        const rows = [];
        const tally = {};
        for (const sensor of gateway.sensors.known.values()) {
            const condition = conditionOf(gateway, sensor, now);
            tally[condition] = (tally[condition] ?? 0) + 1;
            if (!wanted || sensor.id.toLowerCase().includes(wanted)) rows.push({ sensor, rank: CONDITIONS[condition].rank });
        }
        rows.sort(COMPARE[order.value]);
        grid.setSensors(rows.map((row) => row.sensor));
        const total = gateway.sensors.known.size;
        setText(shown, tallyWords(rows.length, total, tally));
        showEmpty(total, rows.length);
    }

    function showEmpty(total, found) {
        const is = !gateway.isLoaded ? "loading" : total === 0 && gateway.info ? "welcome" : found === 0 ? "nothing" : "";
        if (is === isWelcome) return;
        isWelcome = is;
        if (is === "welcome") fill(empty, welcome(gateway.info));
        else if (is === "nothing") fill(empty, h("p", { class: "empty" }, "No sensor has a name like this."));
        else if (is === "loading") fill(empty, h("p", { class: "empty" }, "Loading…"));
        else fill(empty);
    }

    const isTouched = () => performance.now() - movedAt < REST_MS || grid.element.contains(document.activeElement);
    const now = () => sort();
    filter.addEventListener("input", now);
    order.addEventListener("change", now);
    grid.element.addEventListener("pointermove", () => (movedAt = performance.now()));
    const stale = () => (isStale = true);
    const ends = [
        gateway.sensors.added.on(stale),
        gateway.alerts.changed.on(stale),
        gateway.changed.on(stale),
        () => clearInterval(timer),
        grid.end,
        alerts.end,
    ];
    const first = onceAFrame(sort);
    ends.push(gateway.changed.on(() => grid.element.firstChild === null && first()));
    ends.push(gateway.sensors.added.on(() => grid.element.firstChild === null && first()));
    const timer = setInterval(() => isStale && !document.hidden && !isTouched() && sort(), SORT_MS);
    sort();
    return () => {
        for (const end of ends) end();
    };
}

function tallyWords(found, total, tally) {
    if (total === 0) return "";
    const head = found === total ? words.count(total) : `${words.count(found)} of ${words.count(total)}`;
    const trouble = Object.entries(CONDITIONS)
        .filter(([name]) => name !== "ok" && tally[name])
        .map(([name, { word }]) => `${words.count(tally[name])} ${word.toLowerCase()}`);
    return [head, ...trouble].join(" · ");
}

const byName = (a, b) => collator.compare(a.sensor.id, b.sensor.id);

const COMPARE = {
    state: (a, b) => a.rank - b.rank || byName(a, b),
    name: byName,
    newest: (a, b) => b.sensor.at - a.sensor.at,
    value: (a, b) => (b.sensor.value ?? -Infinity) - (a.sensor.value ?? -Infinity) || byName(a, b),
};
