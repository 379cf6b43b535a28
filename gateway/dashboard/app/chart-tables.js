// What a chart shows, in words: for who cannot see it, and for who wants the numbers.

import { summary } from "./columns.js";
import { fill, h } from "./dom.js";
import { label } from "./marks.js";
import { eventRow } from "./event-table.js";
import * as words from "./words.js";

const MOST_EVENTS = 20;

export function chartTables() {
    const rows = h("tbody", {});
    const rules = h("p", { class: "hint" });
    const events = h("div", {});
    const heads = ["Sensor", "Last", "Least", "Mean", "Greatest", "Readings", ""];
    const table = h(
        "table",
        {},
        h("caption", {}, "In the time shown"),
        h("thead", {}, h("tr", {}, heads.map((head) => (head ? h("th", { scope: "col" }, head) : h("td", {}))))),
        rows,
    );
    return {
        element: h("div", { class: "chart-tables" }, h("div", { class: "scroll" }, table), rules, events),

        paint(found, lines, turns, range) {
            fill(rows, found.map((one) => row(one, range)));
            rules.textContent = lines.length ? `Lines: ${lines.map(label).join("; ")}.` : "";
            if (turns.length === 0) fill(events, h("p", { class: "hint" }, "No alert in the time shown."));
            else fill(events, eventTable(turns));
        },
    };
}

function row({ sensor, items }, { from, to }) {
    const { min, avg, max, count, last } = summary(items) ?? {};
    const cells = [words.mean(last), words.value(min), words.mean(avg), words.value(max)].map((one) => h("td", { class: "number" }, one));
    const csv = `/api/v1/readings?${new URLSearchParams({ sensor, from, to, format: "csv" })}`;
    return h(
        "tr",
        {},
        h("th", { scope: "row" }, sensor),
        cells,
        h("td", { class: "number" }, words.count(count ?? 0)),
        h("td", {}, h("a", { href: csv, download: "readings.csv", "aria-label": `CSV of ${sensor}` }, "CSV")),
    );
}

function eventTable(turns) {
    const shown = turns.slice(0, MOST_EVENTS);
    const caption = turns.length > shown.length ? `The newest ${shown.length} of ${turns.length} turns of alerts` : "Alerts in the time shown";
    const heads = ["State", "Sensor", "Rule", "Value", "At"];
    return h(
        "div",
        { class: "scroll" },
        h(
            "table",
            {},
            h("caption", {}, caption),
            h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
            h("tbody", {}, shown.map((event) => eventRow(event))),
        ),
    );
}
