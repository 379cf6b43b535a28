// What a rule does, in a sentence. Pure.

export function sentence(rule) {
    const parts = [];
    if (rule.absent_for) {
        const who = rule.watch === "devices" ? "a device has been offline" : "a sensor has been silent";
        parts.push(`When ${who} for ${rule.absent_for}`);
    } else if (rule.over) {
        parts.push(`At the end of each ${rule.over}${rule.every ? ` (every ${rule.every})` : ""}`);
    }
    if (rule.for) parts.push(`when it lasts ${rule.for}`);
    if (rule.clear) parts.push(`over when ${rule.clear}`);
    if (rule.clear_for) parts.push(`over after ${rule.clear_for}`);
    if (rule.cooldown) parts.push(`at rest for ${rule.cooldown} afterwards`);
    if (rule.repeat && rule.repeat !== "every") {
        parts.push(rule.repeat === "on-change" ? "told once" : `told again every ${rule.repeat}`);
    }
    if (rule.group_by) parts.push(`together by ${rule.group_by}`);
    return parts.join(", ");
}
