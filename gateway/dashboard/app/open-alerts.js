// The alerts that are open, as cards.

import { acknowledgeButton } from "./acknowledge.js";
import { severity } from "./alerts.js";
import { CONDITIONS } from "./conditions.js";
import { fill, h, icon, setText } from "./dom.js";
import { onceAFrame } from "./frame.js";
import * as words from "./words.js";

// `{ element, end }`. Shows at most `most`, the worst first; a link leads to the others. `tool` stands beside the heading.
export function openAlerts(gateway, most, tool = null) {
    const list = h("ul", { class: "alerts" });
    const rest = h("p", { class: "hint" });
    // One and the same while the number changes: a click or the focus would be lost with it.
    const link = h("a", { href: "#/alerts" });
    const heading = h("h2", { id: "open-alerts" }, "Open alerts");
    const cards = new Map();

    function paint() {
        const all = gateway.alerts.list();
        const shown = all.slice(0, most);
        const kept = new Set(shown.map((event) => event.episode));
        for (const [episode, card] of cards) {
            if (kept.has(episode)) continue;
            card.element.remove();
            cards.delete(episode);
        }
        for (const [place, event] of shown.entries()) {
            const card = cards.get(event.episode) ?? makeCard(event);
            cards.set(event.episode, card);
            card.paint(event, gateway);
            if (list.children[place] !== card.element) list.insertBefore(card.element, list.children[place] ?? null);
        }
        if (all.length > most) {
            setText(link, `All ${words.counted(all.length, "open alert")}`);
            if (link.parentNode !== rest) fill(rest, link);
        } else if (all.length === 0) {
            setText(rest, "No alert is open.");
        } else fill(rest);
    }

    const soon = onceAFrame(paint);
    const timer = setInterval(soon, 1000);
    const end = gateway.alerts.changed.on(soon);
    paint();
    return {
        element: h("section", { "aria-labelledby": "open-alerts", class: "open-alerts" }, h("div", { class: "bar" }, heading, tool), list, rest),
        end() {
            end();
            clearInterval(timer);
        },
    };
}

// A card keeps its button while its event changes, so that nobody loses the focus.
function makeCard(first) {
    const sign = icon("warning");
    const word = h("span", {});
    const value = h("span", { class: "alert-value" });
    const message = h("p", { class: "alert-message" });
    const when = h("time", {});
    const act = h("div", { class: "alert-act" });
    const link = h("a", { href: `#/charts?${new URLSearchParams({ s: first.sensor_id })}` }, first.sensor_id);
    const element = h(
        "li",
        { class: "alert", "data-episode": String(first.episode) },
        h("span", { class: "condition" }, sign, word),
        h("div", { class: "alert-text" }, h("p", { class: "alert-title" }, link, " ", value), message, when),
        act,
    );
    let button = null;
    let shown = null;
    return {
        element,
        paint(event, gateway) {
            setText(when, words.ago(event.ts, gateway.now()));
            if (shown === event) return;
            shown = event;
            const condition = event.state === "acknowledged" ? "seen" : severity(event);
            element.dataset.condition = condition;
            sign.firstChild.setAttribute("href", `#i-${CONDITIONS[condition].icon}`);
            setText(word, CONDITIONS[condition].word);
            setText(value, words.value(event.value));
            setText(message, event.message ?? `Rule ${event.rule}`);
            when.dateTime = words.iso(event.ts);
            when.title = words.iso(event.ts);
            if (event.state === "acknowledged") {
                button = null;
                fill(act);
            } else if (!button) {
                button = acknowledgeButton(event);
                fill(act, button);
            }
        },
    };
}
