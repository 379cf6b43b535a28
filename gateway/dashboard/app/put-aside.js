// A table of what was put aside – rejects or dead letters – each to be tried again or dropped.

import * as api from "./api.js";
import { confirm } from "./confirm.js";
import { fill, h } from "./dom.js";
import { attempt, note } from "./notes.js";
import { poll } from "./poll.js";
import * as session from "./session.js";
import * as words from "./words.js";

const PAGE = 50;
const EVERY_MS = 5000;

// `{ path, one, many, caption, heads, cells, nameOf, nothing, gone }`: where they are, what they are called, and what is
// shown of each. `nothing` is what stands there when there is none, `gone` what dropping one means.
export function putAside(kind) {
    // On a phone the cells of a row stand below each other. What they are has to be said then: browsers forget it with the layout.
    const rows = h("tbody", { role: "rowgroup" });
    const rest = h("div", { class: "buttons" });
    const heads = [...kind.heads, "Actions"].map((head) => h("th", { scope: "col", role: "columnheader" }, head));
    const table = h("table", { class: "stack", role: "table" }, h("caption", {}, kind.caption), h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)), rows);
    const scroll = h("div", { class: "scroll", hidden: true }, table);
    const nothing = h("div", { hidden: true }, kind.nothing);
    const fault = h("p", { class: "fault", role: "alert" });
    const known = new Map();
    let wanted = PAGE;

    async function load() {
        // The page of the API is as long as what is shown, so that one question does.
        const page = await api.get(kind.path, { limit: wanted });
        fault.textContent = "";
        const kept = new Set(page.items.map((item) => item.id));
        for (const [id, element] of known) {
            if (kept.has(id)) continue;
            element.remove();
            known.delete(id);
        }
        for (const item of page.items) {
            if (known.has(item.id)) continue;
            const made = row(item);
            known.set(item.id, made);
            rows.append(made);
        }
        scroll.hidden = known.size === 0;
        nothing.hidden = known.size > 0;
        const more = h("button", { type: "button", onclick: () => ((wanted = Math.min(1000, wanted + PAGE)), asking.now()) }, "More");
        const both = [actOnAll("retry", "Retry all shown"), actOnAll("drop", "Drop all shown…")];
        if (rest.childElementCount !== (known.size ? (page.next === null ? 2 : 3) : 0)) {
            fill(rest, known.size > 0 && both, page.next !== null && more);
        }
    }

    function row(item) {
        const actions = h("td", { role: "cell" }, h("div", { class: "buttons" }, actButton("retry", "Retry", item), actButton("drop", "Drop…", item)));
        const cells = kind.cells(item).map((content, place) => {
            if (place === 0) return h("th", { scope: "row", role: "rowheader" }, content);
            return h("td", { role: "cell", "data-label": kind.heads[place] }, content);
        });
        return h("tr", { role: "row" }, cells, actions);
    }

    function actButton(act, text, item) {
        const button = guarded(act, text, `${text.replace("…", "")} ${kind.nameOf(item)}`);
        button.addEventListener("click", async () => {
            if (act === "drop" && !(await confirm(`Drop this ${kind.one}?`, kind.gone, "Drop"))) return;
            await attempt(button, async () => {
                await ACTS[act](`${kind.path}/${item.id}`);
                note(act === "drop" ? `One ${kind.one} dropped.` : `One ${kind.one} tried again.`);
            });
            asking.now();
        });
        return button;
    }

    function actOnAll(act, text) {
        const button = guarded(act, text);
        button.addEventListener("click", async () => {
            const ids = [...known.keys()];
            const number = words.counted(ids.length, kind.one, kind.many);
            if (act === "drop" && !(await confirm(`Drop ${number}?`, kind.gone, "Drop all"))) return;
            await attempt(button, async () => {
                for (const id of ids) await ACTS[act](`${kind.path}/${id}`);
                note(`${number} ${act === "drop" ? "dropped" : "tried again"}.`);
            });
            asking.now();
        });
        return button;
    }

    const asking = poll(load, EVERY_MS, (problem) => (fault.textContent = problem.message));
    return { element: h("div", {}, fault, nothing, scroll, rest), end: asking.stop };
}

const ACTS = {
    retry: (path) => api.post(`${path}/retry`),
    drop: (path) => api.remove(path),
};

function guarded(act, text, label) {
    const isAllowed = session.may(act);
    return h(
        "button",
        { type: "button", class: "small-button", disabled: !isAllowed, title: isAllowed ? null : session.whyNot(act), "aria-label": label },
        text,
    );
}
