// Numbers, times and the state of the uplink in words for people. Pure: the clock comes in as an argument.

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const precise = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 6 });
const tenths = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const dated = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

// A count, as "3,214".
export const count = (number) => whole.format(number);

// The value of a reading. Very large and very small ones keep an exponent: a tile has no room for 300 digits.
export function value(number) {
    if (number === null || number === undefined) return "–";
    const size = Math.abs(number);
    if (size !== 0 && (size >= 1e9 || size < 1e-4)) return number.toExponential(3);
    return size >= 1e5 ? whole.format(number) : precise.format(number);
}

// A mean: digits beyond the fifth say nothing.
export const mean = (number) => value(number === null || number === undefined ? null : Number(number.toPrecision(5)));

// "1 reading", "3,214 readings".
export const counted = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

// "40 s", "2 h 10 min", "3 d 4 h": the two largest units at most.
export function duration(seconds) {
    const total = Math.max(0, Math.round(seconds));
    if (total < 60) return `${total} s`;
    const minutes = Math.floor(total / 60);
    if (minutes < 10) return pair(minutes, "min", total % 60, "s");
    if (minutes < 60) return `${minutes} min`;
    const hours = Math.floor(minutes / 60);
    if (hours < 24) return pair(hours, "h", minutes % 60, "min");
    return pair(Math.floor(hours / 24), "d", hours % 24, "h");
}

// How long it may take: nobody wants the seconds of that.
function roughly(seconds) {
    if (seconds < 60) return "less than 1 min";
    return `about ${duration(Math.round(seconds / 60) * 60)}`;
}

const pair = (large, unit, small, smaller) => (small ? `${large} ${unit} ${small} ${smaller}` : `${large} ${unit}`);

// "now", "3 s ago".
export function ago(then, now) {
    const seconds = (now - then) / 1000;
    return seconds < 1 ? "now" : `${duration(seconds)} ago`;
}

// The time of day, with the date if it is of another day.
export function time(moment, now = Date.now()) {
    const sameDay = new Date(moment).toDateString() === new Date(now).toDateString();
    return (sameDay ? clock : dated).format(moment);
}

// For `title` and `datetime`; empty for what no Date can hold.
export function iso(moment) {
    const date = new Date(moment);
    return Number.isNaN(date.getTime()) ? "" : date.toISOString();
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(number) {
    const step = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, number)) / 10)));
    const scaled = number / 1024 ** step;
    return `${(scaled < 10 ? tenths : whole).format(scaled)} ${UNITS[step]}`;
}

// How it goes with an uplink, as { tone, text }; `tone` is "ok", "busy", "trouble" or "off".
export function uplink(status) {
    if (status.held) return { tone: "trouble", text: `Held: ${status.held}. ${waiting(status)}`.trim() };
    const isRetrying = (status.last_verdict ?? "").startsWith("retry");
    if (!status.pending) {
        const text = isRetrying ? `Nothing waits. The last try failed: ${reason(status)}` : "Everything is delivered";
        return { tone: "ok", text: `${text}.` };
    }
    const tail = isRetrying ? ` The last try failed: ${reason(status)}.` : "";
    return { tone: isRetrying ? "trouble" : "busy", text: waiting(status) + tail };
}

const reason = (status) => status.last_verdict.replace(/^retry:\s*/, "");

// "3,214 readings wait, oldest 2 h 10 min, next try in 40 s, about 6 min to drain."
function waiting(status) {
    if (!status.pending) return "";
    const parts = [`${counted(status.pending, "reading")} ${status.pending === 1 ? "waits" : "wait"}`];
    if (status.oldest_seconds !== null) parts.push(`oldest ${duration(status.oldest_seconds)}`);
    if (status.next_attempt_seconds !== null) parts.push(nextTry(status.next_attempt_seconds));
    if (status.drain_seconds !== null) parts.push(`${roughly(status.drain_seconds)} to drain`);
    return `${parts.join(", ")}.`;
}

const nextTry = (seconds) => (seconds < 1 ? "next try now" : `next try in ${duration(seconds)}`);

// The same for the header, in a few letters. `uplinks` may be several: the worst is told.
export function uplinkShort(outbox) {
    const uplinks = outbox.uplinks ?? [];
    if (uplinks.length === 0) {
        return outbox.pending
            ? { tone: "off", text: `No uplink, ${count(outbox.pending)} wait` }
            : { tone: "off", text: "No uplink" };
    }
    const each = uplinks.map(uplink);
    const isHeld = uplinks.some((one) => one.held);
    if (isHeld) return { tone: "trouble", text: `Uplink held, ${count(outbox.pending)} wait` };
    if (each.some((one) => one.tone === "trouble")) {
        return { tone: "trouble", text: `Uplink fails, ${count(outbox.pending)} wait` };
    }
    if (outbox.pending) return { tone: "busy", text: `${count(outbox.pending)} to deliver` };
    return { tone: "ok", text: "Uplink delivers" };
}
