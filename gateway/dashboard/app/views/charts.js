// One or several sensors over time.

import * as api from "../api.js";
import { createChart, MOST_SERIES } from "../chart.js";
import { chartTables } from "../chart-tables.js";
import { fill, h } from "../dom.js";
import { onceAFrame } from "../frame.js";
import { poll } from "../poll.js";
import { remember } from "../router.js";
import { offerSensors, sensorPicker } from "../sensor-picker.js";
import { thresholds } from "../thresholds.js";
import * as words from "../words.js";
import { welcome } from "../welcome.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const SPANS = [
    [15 * MINUTE, "15 min"],
    [HOUR, "1 h"],
    [6 * HOUR, "6 h"],
    [DAY, "24 h"],
    [7 * DAY, "7 d"],
    [30 * DAY, "30 d"],
];
const LEAST_SPAN = 2000;
const YOUNGEST = 30_000;
const CAN_DRAG = matchMedia("(hover: hover)").matches;
const MOST_POINTS = 800;
const MOST_EVENTS = 1000;
const FASTEST_MS = 2000;
const SLOWEST_MS = 30_000;

export function showCharts(body, gateway, query) {
    // `from` and `to` are null while the chart follows the clock.
    const range = {
        span: Number(query.get("span")) || SPANS[0][0],
        from: Number(query.get("from")) || null,
        to: Number(query.get("to")) || null,
    };
    let sensors = query.getAll("s").slice(0, MOST_SERIES);
    let found = [];

    const when = h("p", { class: "when" });
    const live = h("button", { type: "button", "aria-pressed": "true", onclick: follow }, "Follow");
    const spans = SPANS.map(([span, text]) =>
        h("button", { type: "button", "data-span": String(span), "aria-pressed": "false", onclick: () => choose(span) }, text),
    );
    const controls = h(
        "div",
        { class: "bar" },
        h("div", { class: "segments", role: "group", "aria-label": "Time shown" }, spans),
        h(
            "div",
            { class: "buttons" },
            h("button", { type: "button", onclick: () => move(-0.5) }, "Earlier"),
            h("button", { type: "button", onclick: () => move(0.5) }, "Later"),
            h("button", { type: "button", onclick: () => zoom(0.5) }, "Zoom in"),
            h("button", { type: "button", onclick: () => zoom(2) }, "Zoom out"),
            live,
        ),
    );
    const picker = sensorPicker(gateway, { most: MOST_SERIES, chosen: () => sensors, add, drop });
    const chart = createChart({ onZoom: fix, onCursor });
    const figure = h("figure", { class: "chart card", role: "group", "aria-label": "Chart; the tables below tell the same" }, when, chart.element);
    const tables = chartTables(gateway);
    const empty = h("div", {});
    fill(body, picker.element, controls, figure, empty, tables.element);

    const ends = [
        gateway.sensors.added.on(onceAFrame(() => sensors.length === 0 && paintEmpty())),
        gateway.changed.on(onceAFrame(() => sensors.length === 0 && paintEmpty())),
        gateway.alerts.changed.on((id) => sensors.includes(id) && soon()),
    ];
    const asking = poll(load, () => (range.from ? 60_000 : clamp(range.span / MOST_POINTS, FASTEST_MS, SLOWEST_MS)), failed);
    // Alerts may come by the hundred: they are asked for together.
    let due = null;
    function soon() {
        due ??= setTimeout(() => {
            due = null;
            asking.now();
        }, 500);
    }

    function bounds() {
        if (range.from) return [range.from, range.to];
        const to = Math.trunc(gateway.now());
        return [to - range.span, to];
    }

    async function load() {
        paintControls();
        const asked = sensors;
        if (asked.length === 0) return;
        const [from, to] = bounds();
        const points = clamp(Math.round(chart.element.clientWidth / 1.5), 100, MOST_POINTS);
        const [series, events] = await Promise.all([
            Promise.all(asked.map((sensor) => api.get("/api/v1/series", { sensor, from, to, points }))),
            Promise.all(asked.map((sensor) => api.get("/api/v1/alerts", { sensor, from, to, limit: MOST_EVENTS }))),
        ]);
        if (asked !== sensors || ended) return;
        found = asked.map((sensor, place) => ({ sensor, items: series[place].items }));
        const lines = linesOf(gateway, asked);
        const all = events.flatMap((page) => page.items).sort((a, b) => b.alert_id - a.alert_id);
        const turns = all.filter((event) => event.state === "cleared" || event.alert_id === event.episode);
        const begin = range.from ? from : beginOf(found, from, to);
        chart.show({ series: found, lines, events: turns, from: begin, to, bucketMs: (to - from) / points });
        tables.paint(found, lines, turns, { from, to });
        when.textContent = range.from
            ? `${words.time(from)} to ${words.time(to)}`
            : `The last ${words.duration(range.span / 1000)}.${CAN_DRAG ? " Drag across the chart to look closer." : ""}`;
        picker.paintValues(latest());
    }

    let ended = false;
    function failed(problem) {
        when.textContent = problem.message;
    }

    const latest = () => found.map(({ sensor }) => words.value(gateway.sensors.known.get(sensor)?.value));

    function onCursor(place) {
        if (place === null) {
            picker.paintValues(latest());
            return;
        }
        const { values } = chart.valueAt(place);
        picker.paintValues(values.map(words.mean));
    }

    function changed() {
        const asked = new URLSearchParams(sensors.map((sensor) => ["s", sensor]));
        if (range.from) {
            asked.set("from", range.from);
            asked.set("to", range.to);
        } else asked.set("span", range.span);
        remember(asked);
        asking.now();
    }

    function add(sensor) {
        sensors = [...sensors, sensor];
        repaint();
    }

    function drop(sensor) {
        sensors = sensors.filter((one) => one !== sensor);
        found = found.filter((one) => one.sensor !== sensor);
        repaint();
        body.querySelector("#sensor-input").focus();
    }

    function repaint() {
        picker.paint(sensors.map((id) => words.value(gateway.sensors.known.get(id)?.value)));
        paintEmpty();
        changed();
    }

    function choose(span) {
        Object.assign(range, { span, from: null, to: null });
        changed();
    }

    function follow() {
        Object.assign(range, { from: null, to: null });
        changed();
    }

    function fix(from, to) {
        if (to - from < LEAST_SPAN) to = from + LEAST_SPAN;
        Object.assign(range, { from: Math.max(1, Math.trunc(from)), to: Math.trunc(to), span: to - from });
        changed();
    }

    function move(share) {
        const [from, to] = bounds();
        fix(from + (to - from) * share, to + (to - from) * share);
    }

    function zoom(factor) {
        const [from, to] = bounds();
        const middle = (from + to) / 2;
        const half = clamp(((to - from) * factor) / 2, LEAST_SPAN / 2, 365 * DAY);
        // Who follows the clock goes on following it.
        if (range.from) fix(middle - half, middle + half);
        else choose(Math.round(half * 2));
    }

    function paintControls() {
        for (const button of spans) {
            button.setAttribute("aria-pressed", String(!range.from && Number(button.dataset.span) === range.span));
        }
        live.setAttribute("aria-pressed", String(!range.from));
    }

    function paintEmpty() {
        const isEmpty = sensors.length === 0;
        figure.hidden = controls.hidden = tables.element.hidden = isEmpty;
        if (!isEmpty || !gateway.isLoaded || !gateway.info) fill(empty);
        else if (gateway.sensors.known.size === 0) {
            if (!empty.querySelector(".welcome")) fill(empty, welcome(gateway.info));
        } else if (empty.querySelectorAll("button").length !== Math.min(24, gateway.sensors.known.size)) fill(empty, offerSensors(gateway, add));
    }

    repaint();
    return () => {
        ended = true;
        clearTimeout(due);
        asking.stop();
        chart.end();
        for (const end of ends) end();
    };
}

// A chart that follows young sensors begins where they do: most of it would be empty.
function beginOf(found, from, to) {
    const first = Math.min(...found.map(({ items }) => items[0]?.ts ?? Infinity));
    return first < Infinity && first - from > (to - from) * 0.1 ? Math.min(first, to - YOUNGEST) : from;
}

// Each line once, however many of the sensors it is for.
function linesOf(gateway, sensors) {
    const lines = new Map();
    for (const sensor of sensors) {
        const topic = gateway.sensors.known.get(sensor)?.topic ?? undefined;
        for (const line of thresholds(gateway.rules, sensor, topic)) {
            lines.set(`${line.rule} ${line.kind} ${line.operator} ${line.value}`, line);
        }
    }
    return [...lines.values()];
}

const clamp = (value, least, most) => Math.min(most, Math.max(least, value));
