// How it goes with the cloud, and what it refused.

import { copyable } from "../copyable.js";
import { fill, h, icon, setText } from "../dom.js";
import { timeCell } from "../event-table.js";
import { onceAFrame } from "../frame.js";
import { payloadCell } from "../payload.js";
import { putAside } from "../put-aside.js";
import * as words from "../words.js";

const SIGNS = { ok: "ok", busy: "uplink", trouble: "warning", off: "info" };

export function showUplink(body, gateway) {
    const cards = h("div", { class: "cards" });
    const known = new Map();
    const letters = putAside({
        path: "/api/v1/dead-letters",
        one: "dead letter",
        many: "dead letters",
        caption: "Readings that the receiver refused for good, the oldest first",
        heads: ["Sensor", "Value", "Answer", "Refused"],
        cells: (item) => [
            h("span", { class: "wrap" }, item.reading.sensor_id),
            h("span", { class: "number" }, words.value(item.reading.value)),
            h("div", {}, h("b", {}, item.status === null ? "" : `${item.status} `), payloadCell(item.answer ?? "")),
            timeCell(item.at),
        ],
        nameOf: (item) => `the dead letter of ${item.reading.sensor_id}`,
        gone: "The reading stays in the gateway's store but will never reach the receiver.",
        nothing: h("p", { class: "hint" }, "None: the receiver has taken every reading that it was sent."),
    });

    function paint() {
        const outbox = gateway.outbox;
        if (!outbox) return;
        const uplinks = outbox.uplinks ?? [];
        const names = new Set([...uplinks, ...(outbox.forsaken ?? [])].map((one) => one.name));
        for (const [name, card] of known) {
            if (names.has(name)) continue;
            card.element.remove();
            known.delete(name);
        }
        for (const uplink of uplinks) card(uplink.name, uplinkCard).paint(uplink);
        for (const forsaken of outbox.forsaken ?? []) card(forsaken.name, forsakenCard).paint(forsaken);
        if (uplinks.length === 0) card("", () => ({ element: noUplink(outbox), paint() {} }));
    }

    function card(name, make) {
        if (!known.has(name)) {
            known.set(name, make(name));
            cards.append(known.get(name).element);
        }
        return known.get(name);
    }

    const end = gateway.changed.on(onceAFrame(paint));
    paint();
    fill(
        body,
        cards,
        h("section", { "aria-labelledby": "dead-letters" }, h("h2", { id: "dead-letters" }, "Dead letters"), letters.element),
    );
    return () => {
        end();
        letters.end();
    };
}

function uplinkCard(name) {
    const sign = icon("uplink");
    const sentence = h("p", { class: "sentence" });
    const facts = [
        ["Waiting", (one) => words.counted(one.pending, "reading")],
        ["Oldest", (one) => (one.oldest_seconds === null ? "–" : words.duration(one.oldest_seconds))],
        ["Next try", (one) => (one.next_attempt_seconds === null ? "–" : `in ${words.duration(one.next_attempt_seconds)}`)],
        ["Time to drain", (one) => (one.drain_seconds === null ? "–" : words.duration(one.drain_seconds))],
        ["Last answer", (one) => one.last_verdict ?? "none yet"],
        ["Sent today (UTC)", (one) => words.bytes(one.bytes_today ?? 0)],
    ].map(([term, say]) => ({ say, term, value: h("dd", {}) }));
    const list = h("dl", { class: "facts" }, facts.map(({ term, value }) => h("div", {}, h("dt", {}, term), value)));
    const element = h("section", { class: "card uplink" }, h("h2", {}, sign, name), sentence, list);
    return {
        element,
        paint(uplink) {
            const { tone, text } = words.uplink(uplink);
            element.dataset.tone = tone;
            sign.firstChild.setAttribute("href", `#i-${SIGNS[tone]}`);
            setText(sentence, text);
            for (const { say, value } of facts) setText(value, say(uplink));
        },
    };
}

function forsakenCard(name) {
    const sentence = h("p", { class: "sentence" });
    const element = h("section", { class: "card uplink", "data-tone": "trouble" }, h("h2", {}, icon("warning"), name), sentence);
    return {
        element,
        paint({ pending }) {
            const wait = `${words.counted(pending, "reading")} ${pending === 1 ? "waits" : "wait"}`;
            setText(sentence, `${wait} for this uplink, but the configuration has none of this name any more.`);
        },
    };
}

function noUplink(outbox) {
    return h(
        "section",
        { class: "card" },
        h("h2", {}, "No uplink is configured"),
        h(
            "p",
            {},
            outbox.pending
                ? `${words.counted(outbox.pending, "reading")} that rules forward ${outbox.pending === 1 ? "waits" : "wait"} on disk until there is one.`
                : "What rules forward will wait on disk until there is one.",
            " Add this to the configuration and start the gateway again:",
        ),
        copyable('[cloud]\nurl = "https://cloud.example.com/api/sync"'),
    );
}
