// The form for one rule. It changes only the keys that it shows: others stay as they were written.

import { fill, h } from "./dom.js";

const EXPRESSION = { mono: true };

const FIELDS = [
    ["name", "Name", "Letters, digits, . _ and -"],
    ["when", "When", "A CEL expression, such as value > 75", EXPRESSION],
    ["topics", "Topics", "Whose readings it sees, with commas between; empty for all"],
    ["severity", "Severity", "", { options: ["", "info", "warning", "critical"] }],
    ["message", "Message", "For people, such as %{sensor_id} is at %{value} °C"],
];

const DETAILS = [
    ["When it begins and ends", [
        ["for", "Lasting", "Only when it lasts so long: 30s"],
        ["clear", "Clear when", "Over when this is met; empty: when it is no longer met", EXPRESSION],
        ["clear_for", "Clear after", "Over when that has been so for so long"],
        ["cooldown", "Cooldown", "Once over, at rest for so long"],
        ["repeat", "Repeat", "every, on-change, or a time such as 10m"],
        ["group_by", "Group by", "One alert for all readings with the same text", EXPRESSION],
    ]],
    ["Windows", [
        ["over", "Over", "Asked at the end of each so long, of avg, min, max, count …: 5m"],
        ["every", "Every", "Windows may overlap: 1m"],
        ["lateness", "Lateness", "How long it waits for late readings"],
    ]],
    ["Silence", [
        ["absent_for", "Absent for", "Active when a sensor has been silent for so long: 2m"],
        ["watch", "Watch", "", { options: ["", "sensors", "devices"] }],
    ]],
];

const COMMON_ACTIONS = [
    ["alert", "Alert"],
    ["forward", "Forward to the cloud"],
    ["drop", "Drop (do not store)"],
];

// `{ element, read, showErrors }`.
export function ruleForm(rule, number) {
    const fields = new Map();
    const written = new Map();
    const id = (key) => `rule-${number}-${key}`;

    function field([key, text, hint, { mono, options } = {}]) {
        const value = Array.isArray(rule[key]) ? rule[key].join(", ") : (rule[key] ?? "");
        const fault = h("span", { class: "fault", id: `${id(key)}-fault` });
        const common = { id: id(key), "aria-describedby": `${id(key)}-hint ${id(key)}-fault` };
        const input = options
            ? h("select", common, options.map((one) => h("option", { value: one, selected: one === value }, one || "–")))
            : h("input", { ...common, value, spellcheck: "false", autocomplete: "off", class: mono && "mono" });
        fields.set(key, { input, fault });
        written.set(key, value);
        return h(
            "div",
            { class: `field field-${key}` },
            h("label", { for: id(key) }, text),
            input,
            h("span", { class: "hint", id: `${id(key)}-hint` }, hint),
            fault,
        );
    }

    const actions = rule.actions ?? [];
    const boxes = COMMON_ACTIONS.map(([action, text]) => {
        const box = h("input", { type: "checkbox", value: action, checked: actions.includes(action) });
        return { box, element: h("label", { class: "check" }, box, text) };
    });
    const known = new Set(COMMON_ACTIONS.map(([action]) => action));
    const others = h("input", {
        id: id("actions"), value: actions.filter((one) => !known.has(one)).join(", "), class: "mono", spellcheck: "false", autocomplete: "off",
        "aria-describedby": `${id("actions")}-hint ${id("actions")}-fault`,
    });
    const actionsFault = h("span", { class: "fault", id: `${id("actions")}-fault` });
    fields.set("actions", { input: others, fault: actionsFault });

    const general = h("p", { class: "fault" });
    const element = h(
        "div",
        { class: "rule-form" },
        h("div", { class: "fields" }, FIELDS.map(field)),
        h(
            "fieldset",
            {},
            h("legend", {}, "Actions"),
            boxes.map(({ element }) => element),
            h("div", { class: "field" }, h("label", { for: id("actions") }, "Others"), others, h("span", { class: "hint", id: `${id("actions")}-hint` }, "tag:NAME, forward:NAME, publish:TOPIC, downsample:1m, with commas between"), actionsFault),
        ),
        DETAILS.map(([title, group]) => {
            const isUsed = group.some(([key]) => rule[key] !== undefined);
            return h("details", { open: isUsed }, h("summary", {}, title), h("div", { class: "fields" }, group.map(field)));
        }),
        general,
    );

    return {
        element,

        // The rule as it stands in the form.
        read() {
            const made = { ...rule };
            for (const [key, { input }] of fields) {
                const text = input.value.trim();
                // What nobody touched stays as it was written: a topic may have commas.
                if (key === "actions" || text === written.get(key)) continue;
                if (text === "") delete made[key];
                else made[key] = key === "topics" ? list(text) : text;
            }
            made.name ??= "";
            const chosen = new Set([...boxes.filter(({ box }) => box.checked).map(({ box }) => box.value), ...list(others.value)]);
            // In the order in which they were written, the new ones last.
            made.actions = [...new Set([...actions.filter((one) => chosen.has(one)), ...chosen])];
            return made;
        },

        // `[{ key, message, excerpt }]` of this rule, each at its field; the first one gets the focus.
        showErrors(errors) {
            for (const { input, fault } of fields.values()) {
                input.removeAttribute("aria-invalid");
                fill(fault);
            }
            fill(general);
            let first = null;
            for (const error of errors) {
                const at = fields.get(error.key);
                const place = at ? at.fault : general;
                place.append(h("span", {}, error.message), error.excerpt ? h("pre", {}, error.excerpt) : "");
                at?.input.setAttribute("aria-invalid", "true");
                at?.input.closest("details")?.setAttribute("open", "");
                first ??= at?.input;
            }
            first?.focus();
        },
    };
}

const list = (text) => text.split(",").map((one) => one.trim()).filter(Boolean);
