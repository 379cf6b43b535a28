// What is open, and what happened.

import { acknowledge } from "../acknowledge.js";
import * as api from "../api.js";
import { fill, h } from "../dom.js";
import { eventRow } from "../event-table.js";
import { onceAFrame } from "../frame.js";
import { attempt, note } from "../notes.js";
import { openAlerts } from "../open-alerts.js";
import * as session from "../session.js";
import * as words from "../words.js";

const MOST_CARDS = 100;
const PAGE = 50;
const FOLLOW_MS = 2000;
const HEADS = ["State", "Sensor", "Rule", "Value", "At"];

export function showAlerts(body, gateway) {
    const all = h("button", { type: "button", class: "small-button", onclick: () => acknowledgeAll(all, gateway) }, "Acknowledge all");
    const open = openAlerts(gateway, MOST_CARDS, all);
    const paint = () => {
        const isAny = gateway.alerts.list().some((event) => event.state === "raised");
        all.hidden = !isAny || !session.may("acknowledge");
    };
    const end = gateway.alerts.changed.on(onceAFrame(paint));
    paint();
    const past = history(gateway);
    fill(body, open.element, past.element);
    return () => {
        end();
        past.end();
        open.end();
    };
}

async function acknowledgeAll(button, gateway) {
    await attempt(button, async () => {
        const raised = gateway.alerts.list().filter((event) => event.state === "raised");
        for (const event of raised) await acknowledge(event);
        note(`${words.counted(raised.length, "alert")} acknowledged.`);
    });
}

function history(gateway) {
    const state = h("select", { id: "history-state" }, [
        h("option", { value: "" }, "All events"),
        h("option", { value: "raised" }, "Raised"),
        h("option", { value: "acknowledged" }, "Acknowledged"),
        h("option", { value: "cleared" }, "Cleared"),
    ]);
    const sensor = h("input", { id: "history-sensor", placeholder: "Sensor", spellcheck: "false", autocomplete: "off" });
    const rule = h("input", { id: "history-rule", placeholder: "Rule", spellcheck: "false", autocomplete: "off" });
    const rows = h("tbody", {});
    const hint = h("p", { class: "hint" });
    const older = h("button", { type: "button", onclick: () => load(true) }, "Older");
    const form = h(
        "form",
        { class: "bar", onsubmit: (event) => (event.preventDefault(), load(false)) },
        h("h2", { id: "history" }, "History"),
        h("label", { class: "hidden", for: "history-sensor" }, "Only of this sensor"), sensor,
        h("label", { class: "hidden", for: "history-rule" }, "Only of this rule"), rule,
        h("label", { class: "hidden", for: "history-state" }, "Which events"), state,
        h("button", { type: "submit" }, "Show"),
    );
    state.addEventListener("change", () => load(false));
    let next = null;

    async function load(isMore) {
        await attempt(older, async () => {
            const query = { state: state.value, sensor: sensor.value.trim(), rule: rule.value.trim(), limit: PAGE };
            const page = await api.get("/api/v1/alerts", isMore ? { ...query, after: next } : query);
            next = page.next;
            isFirst = !isMore;
            const made = page.items.map(eventRow);
            if (isMore) rows.append(...made);
            else fill(rows, made);
        });
        older.hidden = next === null;
        hint.textContent = rows.firstChild ? "" : "Nothing of this kind has happened.";
    }

    // The first page follows what happens, unless somebody is at work in it.
    let timer = null;
    let isFirst = true;
    const follow = gateway.alerts.changed.on(() => {
        timer ??= setTimeout(() => {
            timer = null;
            if (isFirst && !rows.contains(document.activeElement)) load(false);
        }, FOLLOW_MS);
    });

    load(false);
    const element = h(
        "section",
        { "aria-labelledby": "history" },
        form,
        h("div", { class: "scroll" }, h("table", {}, h("caption", { class: "hidden" }, "Events of alerts, newest first"), h("thead", {}, h("tr", {}, HEADS.map((head) => h("th", { scope: "col" }, head)))), rows)),
        hint,
        older,
    );
    return {
        element,
        end() {
            follow();
            clearTimeout(timer);
        },
    };
}
