// The rules: read, edited, checked, tested against the past, saved. Edits stay in the page until they are saved.

import * as api from "../api.js";
import { confirm } from "../confirm.js";
import { fill, h, icon } from "../dom.js";
import { attempt, note } from "../notes.js";
import { ruleForm } from "../rule-form.js";
import { ruleTrial } from "../rule-trial.js";
import { sentence } from "../rule-words.js";
import * as session from "../session.js";

let numbers = 0;

// What was not saved yet when somebody went to another view.
let draft = null;

export function showRules(body, gateway) {
    const cards = h("ol", { class: "rules" });
    const faults = h("div", { class: "faults", role: "alert" });
    const isAllowed = session.may("rules");
    const why = isAllowed ? null : session.whyNot("rules");
    const button = (text, act, properties = {}) => h("button", { type: "button", onclick: act, ...properties }, text);
    const save = button("Save", () => put(), { class: "primary", disabled: !isAllowed, title: why });
    const check = button("Check", () => ask(), { disabled: !isAllowed, title: why });
    const discard = button("Discard changes", () => reset());
    const add = button("Add a rule", () => insert(), { disabled: !isAllowed, title: why });
    const state = h("p", { class: "hint", role: "status" });
    const bar = h("div", { class: "bar sticky" }, add, check, save, discard, state);
    let entries = [];
    let saved = "";

    const trial = ruleTrial(rules, (problem) => showFaults(problem));
    fill(body, h("p", { class: "lead" }, "A rule looks at each reading: what meets its condition raises an alert, goes to the cloud, or is tagged. Rules act in this order."), bar, faults, cards, trial);

    function rules() {
        return entries.map((entry) => (entry.form ? entry.form.read() : entry.rule));
    }

    const isChanged = () => JSON.stringify(rules()) !== saved;

    function paintState() {
        const changed = isChanged();
        discard.hidden = !changed;
        save.disabled = !isAllowed || !changed;
        state.textContent = changed ? "Not saved yet." : "";
    }

    function draw() {
        fill(cards, entries.map((entry, place) => card(entry, place)));
        if (entries.length === 0) cards.append(h("li", { class: "card empty" }, h("p", {}, "There is no rule: readings are stored, nothing else.")));
        paintState();
    }

    function card(entry, place) {
        const { rule } = entry;
        const label = (verb) => `${verb} rule ${rule.name || place + 1}`;
        const tool = (text, verb, act, properties) =>
            h("button", { type: "button", class: "small-button", "aria-label": label(verb), onclick: act, disabled: !isAllowed, title: why, ...properties }, text);
        const tools = h(
            "div",
            { class: "buttons" },
            tool(entry.form ? "Done" : "Edit", entry.form ? "Close" : "Edit", () => toggle(entry)),
            tool(icon("up"), "Move up", () => move(place, -1), { disabled: !isAllowed || place === 0 }),
            tool(icon("down"), "Move down", () => move(place, 1), { disabled: !isAllowed || place === entries.length - 1 }),
            tool("Delete…", "Delete", () => drop(entry)),
        );
        const head = h("div", { class: "rule-head" }, h("h2", {}, rule.name || "New rule"), rule.severity && h("span", { class: "tag" }, rule.severity), tools);
        if (entry.form) return h("li", { class: "card" }, head, entry.form.element);
        const more = sentence(rule);
        return h(
            "li",
            { class: "card" },
            head,
            rule.when && h("p", {}, h("code", { class: "when" }, rule.when)),
            more && h("p", { class: "hint" }, `${more.charAt(0).toUpperCase()}${more.slice(1)}.`),
            h("p", { class: "tags" }, (rule.actions ?? []).map((action) => h("span", { class: "tag" }, action)), (rule.topics ?? []).map((topic) => h("code", {}, topic))),
        );
    }

    function toggle(entry) {
        if (entry.form) {
            entry.rule = entry.form.read();
            entry.form = null;
        } else open(entry);
        draw();
        const place = entries.indexOf(entry);
        (entry.form?.element.querySelector("input") ?? cards.children[place].querySelector("button")).focus();
    }

    function open(entry) {
        entry.form = ruleForm(entry.rule, (numbers += 1));
        entry.form.element.addEventListener("input", paintState);
    }

    function insert() {
        const entry = { rule: { name: "", when: "", actions: ["alert"] }, form: null };
        entries.push(entry);
        toggle(entry);
    }

    function move(place, by) {
        const [entry] = entries.splice(place, 1);
        entries.splice(place + by, 0, entry);
        draw();
        const moved = cards.children[place + by];
        const wanted = moved.querySelector(`[aria-label^="Move ${by < 0 ? "up" : "down"}"]:enabled`);
        (wanted ?? moved.querySelector("[aria-label^='Move']:enabled"))?.focus();
    }

    async function drop(entry) {
        const name = entry.rule.name || "this rule";
        if (!(await confirm(`Delete ${name}?`, "It is gone when the rules are saved; its open alerts are cleared then.", "Delete"))) return;
        entries = entries.filter((one) => one !== entry);
        draw();
        add.focus();
    }

    async function ask() {
        await withFaults(check, async () => {
            await api.post("/api/v1/rules/check", { rule: rules() });
            note("The rules have no fault.");
        });
    }

    async function put() {
        await withFaults(save, async () => {
            take((await api.put("/api/v1/rules", { rule: rules() })).items);
            note("The rules are saved and in force.");
        });
        paintState();
    }

    async function withFaults(button, act) {
        fill(faults);
        for (const { form } of entries) form?.showErrors([]);
        await attempt(button, async () => {
            try {
                await act();
            } catch (problem) {
                if (!showFaults(problem)) throw problem;
            }
        });
    }

    // Faults of a rule stand at its fields; its form opens for that. False if the problem is none of the rules.
    function showFaults(problem) {
        if (problem.status === 409) {
            fill(faults, h("p", {}, problem.message), h("p", {}, "For example, at the top of the configuration: ", h("code", {}, 'rules_file = "data/rules.toml"')));
            return true;
        }
        const errors = problem.document?.errors;
        if (problem.status !== 422 || !errors?.length) {
            if (problem.status) fill(faults, h("p", {}, problem.message));
            return problem.status === 422;
        }
        const ofRule = (entry) => errors.filter((error) => error.rule === (entry.form ? entry.form.read() : entry.rule).name);
        const stray = errors.filter((error) => !entries.some((entry) => ofRule(entry).includes(error)));
        const found = entries.map((entry) => [entry, ofRule(entry)]).filter(([, own]) => own.length);
        for (const [entry] of found) if (!entry.form && isAllowed) open(entry);
        draw();
        const number = `${errors.length} ${errors.length === 1 ? "fault" : "faults"} in the rules.`;
        fill(faults, h("p", {}, number), stray.map((error) => h("p", {}, error.message, error.excerpt && h("pre", {}, error.excerpt))));
        for (const [entry, own] of found) entry.form?.showErrors(own);
        return true;
    }

    function take(items) {
        entries = items.map((rule) => ({ rule, form: null }));
        saved = JSON.stringify(rules());
        gateway.rules = items;
        draw();
    }

    async function begin() {
        const unsaved = draft;
        draft = null;
        await reset();
        if (!unsaved) return;
        entries = unsaved.map((rule) => ({ rule, form: null }));
        draw();
    }

    async function reset() {
        fill(faults);
        take((await api.get("/api/v1/rules")).items);
    }

    const guard = (event) => isChanged() && event.preventDefault();
    addEventListener("beforeunload", guard);
    begin().catch((problem) => note(problem.message, "trouble"));
    return () => {
        if (saved && isChanged()) draft = rules();
        removeEventListener("beforeunload", guard);
    };
}
