// The lines that rules draw into a chart: the numbers with which their conditions compare. Pure.

import { matches } from "./topics.js";

const NUMBER = "-?\\d+(?:\\.\\d+)?(?:[eE][+-]?\\d+)?";
const NAME = "(?:value|avg|min|max|last|first)";
const FORWARDS = new RegExp(`(?<![\\w.])${NAME}\\s*(<=|>=|<|>|==)\\s*(${NUMBER})(?![\\w.])`, "g");
const BACKWARDS = new RegExp(`(?<![\\w.+*/-])(${NUMBER})\\s*(<=|>=|<|>|==)\\s*${NAME}(?![\\w.(])`, "g");
const TURNED = { "<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==" };

// `[{ rule, value, operator, kind, severity }]` of the rules that look at this sensor; `kind` is "when" or "clear".
export function thresholds(rules, sensor, topic = `sensors/${sensor}`) {
    const lines = [];
    for (const rule of rules.filter((one) => looksAt(one, sensor, topic))) {
        for (const kind of ["when", "clear"]) {
            for (const { operator, value } of comparisons(rule[kind] ?? "")) {
                lines.push({ rule: rule.name, value, operator, kind, severity: rule.severity ?? null });
            }
        }
    }
    return lines;
}

// The comparisons of a value with a number that an expression has, in no matter what company.
export function comparisons(expression) {
    // A text may say anything: it is no part of what is compared.
    const bare = expression.replace(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/g, '""');
    const found = [];
    for (const [, operator, number] of bare.matchAll(FORWARDS)) found.push({ operator, value: Number(number) });
    for (const [, number, operator] of bare.matchAll(BACKWARDS)) {
        found.push({ operator: TURNED[operator], value: Number(number) });
    }
    return found;
}

// By topics, and by `sensor_id == "…"` where nothing else could let other sensors in.
function looksAt(rule, sensor, topic) {
    if (rule.topics?.length && !rule.topics.some((filter) => matches(filter, topic))) return false;
    const when = rule.when ?? "";
    const named = /(?<![\w.])sensor_id\s*==\s*(?:"([^"\\]*)"|'([^'\\]*)')/.exec(when);
    return !named || when.includes("||") || (named[1] ?? named[2]) === sensor;
}
