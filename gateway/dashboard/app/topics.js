// MQTT topic filters. Pure.

// Whether a topic is one of those that the filter means.
export function matches(filter, topic) {
    const wanted = filter.split("/");
    const levels = topic.split("/");
    if (levels[0].startsWith("$") && (wanted[0] === "+" || wanted[0] === "#")) return false;
    for (const [place, level] of wanted.entries()) {
        if (level === "#") return true;
        if (place >= levels.length || (level !== "+" && level !== levels[place])) return false;
    }
    return wanted.length === levels.length;
}
