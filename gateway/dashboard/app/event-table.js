// A row that tells an event of an alert.

import { severity } from "./alerts.js";
import { CONDITIONS } from "./conditions.js";
import { h, icon } from "./dom.js";
import * as words from "./words.js";

const STATES = {
    raised: ["Raised", (event) => severity(event)],
    acknowledged: ["Acknowledged", () => "seen"],
    cleared: ["Cleared", () => "ok"],
};

export function stateCell(event) {
    const [word, condition] = STATES[event.state] ?? [event.state, () => "info"];
    const named = condition(event);
    return h("span", { class: "condition", "data-condition": named }, icon(CONDITIONS[named].icon), h("span", {}, word));
}

export const timeCell = (moment) => h("time", { datetime: words.iso(moment), title: words.iso(moment) }, words.time(moment));

export function eventRow(event) {
    return h(
        "tr",
        {},
        h("td", {}, stateCell(event)),
        h("td", {}, h("a", { href: `#/charts?${new URLSearchParams({ s: event.sensor_id })}` }, event.sensor_id)),
        h("td", {}, event.rule),
        h("td", { class: "number" }, words.value(event.value)),
        h("td", {}, timeCell(event.ts)),
    );
}
