// What a message on a topic of readings says, as the gateway itself reads it. Pure. What cannot be read gives nothing
// here: the gateway keeps it among the rejects.

const text = new TextDecoder("utf-8", { fatal: true });
const encoder = new TextEncoder();
const LONGEST_ID = 256;
const YEAR_2200 = 7258118400000;

// `[{ sensor, value, ts, attributes }]`; `ts` is null where the payload has none.
export function decode(topic, payload) {
    let said;
    try {
        said = JSON.parse(typeof payload === "string" ? payload : text.decode(payload));
    } catch {
        return [];
    }
    const level = topic.slice(topic.lastIndexOf("/") + 1);
    if (typeof said === "number") return reading(level, said, null, {});
    if (Array.isArray(said)) return said.flatMap((one) => decodeObject(one, level));
    return decodeObject(said, level);
}

function decodeObject(said, level) {
    if (said === null || typeof said !== "object" || Array.isArray(said)) return [];
    const { sensor_id, id, value, ts, ...attributes } = said;
    const sensor = name(sensor_id ?? id ?? level);
    const at = ts === undefined ? null : moment(ts);
    if (sensor === null || at === undefined) return [];
    if (value !== undefined) return reading(sensor, value, at, attributes);
    const numbers = Object.entries(attributes).filter(([, one]) => typeof one === "number");
    const others = Object.fromEntries(Object.entries(attributes).filter(([, one]) => typeof one !== "number"));
    return numbers.flatMap(([key, one]) => reading(`${sensor}/${key}`, one, at, others));
}

function reading(sensor, value, ts, attributes) {
    const isGood = typeof value === "number" && Number.isFinite(value) && isSensorId(sensor);
    return isGood ? [{ sensor, value, ts, attributes }] : [];
}

function name(said) {
    if (typeof said === "string") return said;
    return typeof said === "number" ? String(said) : null;
}

// Undefined for what is no time.
function moment(said) {
    const at = typeof said === "number" ? said : Date.parse(said);
    return 0 <= at && at < YEAR_2200 ? Math.trunc(at) : undefined;
}

function isSensorId(id) {
    return (
        !/[+#\p{Cc}]/u.test(id) &&
        !id.startsWith("$") &&
        id.split("/").every((level) => level !== "") &&
        (id.length <= LONGEST_ID / 4 || encoder.encode(id).length <= LONGEST_ID)
    );
}
