// What rules would have done to the stored past.

import * as api from "./api.js";
import { fill, h } from "./dom.js";
import { timeCell } from "./event-table.js";
import * as words from "./words.js";

const TIMES = [["1h", "the last hour"], ["24h", "the last day"], ["7d", "the last week"], ["30d", "the last month"]];

// `rules()` gives those to test; `failed` is told a problem.
export function ruleTrial(rules, failed) {
    const since = h("select", { id: "since" }, TIMES.map(([value, text]) => h("option", { value }, text)));
    const button = h("button", { type: "submit" }, "Test");
    const answer = h("div", { "aria-live": "polite" });

    async function test(event) {
        event.preventDefault();
        button.disabled = true;
        fill(answer, h("p", {}, "Reading the past…"));
        try {
            fill(answer, told(await api.post("/api/v1/rules/test", { rule: rules() }, { since: since.value })));
        } catch (problem) {
            fill(answer);
            failed(problem);
        } finally {
            button.disabled = false;
        }
    }

    return h(
        "section",
        { class: "card", "aria-labelledby": "trial" },
        h("h2", { id: "trial" }, "Test against the past"),
        h("p", { class: "hint" }, "Runs the rules as they stand here, saved or not, through the stored readings. Nothing is changed and nobody is alerted."),
        h("form", { class: "bar", onsubmit: test }, h("label", { for: "since" }, "Readings of"), since, button),
        answer,
    );
}

function told({ readings, from, to, complete, rules }) {
    const caption = `${words.counted(readings, "reading")} from ${words.time(from)} to ${words.time(to)}${complete ? "" : "; there are more, only these were read"}`;
    const rows = rules.map(({ name, alerts, readings: met, last }) =>
        h(
            "tr",
            {},
            h("th", { scope: "row" }, name),
            h("td", { class: "number" }, words.count(met)),
            h("td", { class: "number" }, words.count(alerts)),
            h("td", {}, last ? [h("span", {}, `${last.sensor_id} at ${words.value(last.value)}, `), timeCell(last.ts)] : "–"),
        ),
    );
    const heads = ["Rule", "Readings met", "Alerts", "Last alert"].map((head) => h("th", { scope: "col" }, head));
    return h("div", { class: "scroll" }, h("table", {}, h("caption", {}, caption), h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows)));
}
