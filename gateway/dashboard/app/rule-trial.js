// What rules would have done to the stored past.

import * as api from "./api.js";
import { fill, h } from "./dom.js";
import * as session from "./session.js";
import * as theme from "./theme.js";
import * as words from "./words.js";

const TIMES = [["1h", "the last hour"], ["24h", "the last day"], ["7d", "the last week"], ["30d", "the last month"]];

// `rules()` gives those to test; `failed` is told a problem.
export function ruleTrial(rules, failed) {
    const since = h("select", { id: "since" }, TIMES.map(([value, text]) => h("option", { value }, text)));
    const isAllowed = session.may("rules");
    const button = h("button", { type: "submit", disabled: !isAllowed, title: isAllowed ? null : session.whyNot("rules") }, "Test");
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
    const caption = `${words.counted(readings, "reading")} from ${words.time(from)} to ${words.time(to)}${complete ? "" : "; later ones would have taken too long"}`;
    const rows = rules.map((one) =>
        h(
            "tr",
            {},
            h("th", { scope: "row" }, one.rule),
            h("td", { class: "number" }, words.count(one.raised)),
            h("td", { class: "number" }, words.count(one.cleared)),
            h("td", { class: "number" }, one.raised ? words.duration(one.longest_seconds) : "–"),
            h("td", {}, one.raised ? timeline(one.timeline) : "–"),
            h("td", { class: "number" }, one.failures ? `${words.count(one.failures)} failed` : "", one.late ? ` ${words.count(one.late)} late` : ""),
        ),
    );
    const heads = ["Rule", "Alerts raised", "Cleared", "Longest", "When", "Left out"].map((head) => h("th", { scope: "col" }, head));
    return h("div", { class: "scroll" }, h("table", {}, h("caption", {}, caption), h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows)));
}

// How many alerts began in each part of the time.
function timeline(counts) {
    const most = Math.max(...counts);
    const busy = counts.filter(Boolean).length;
    const canvas = h("canvas", { class: "timeline", role: "img", "aria-label": `In ${busy} of ${counts.length} parts of the time`, width: "240", height: "28" });
    const context = canvas.getContext("2d");
    [context.fillStyle] = theme.colours("edge");
    context.fillRect(0, 27, 240, 1);
    [context.fillStyle] = theme.colours("threshold");
    const width = 240 / counts.length;
    for (const [place, count] of counts.entries()) {
        const height = count && Math.max(3, (count / most) * 26);
        context.fillRect(place * width, 27 - height, Math.max(1, width - 1), height);
    }
    return canvas;
}
