// Stored series as the columns a chart draws. Pure.

// Without readings for so many times the usual distance, the line breaks.
const BREAK = 5;

// `{ ts, min, avg, max }` of a series' items, in seconds. Where readings are missing for unusually long a null breaks the
// line, so that an outage does not look like a straight line of readings.
export function columns(items, bucketMs) {
    const longest = Math.max(3 * bucketMs, BREAK * usualDistance(items));
    const made = { ts: [], min: [], avg: [], max: [] };
    let before = null;
    for (const item of items) {
        if (before !== null && item.ts - before > longest) push(made, (before + item.ts) / 2, null);
        push(made, item.ts, item);
        before = item.ts;
    }
    return made;
}

function push(made, ts, item) {
    made.ts.push(ts / 1000);
    for (const key of ["min", "avg", "max"]) made[key].push(item ? item[key] : null);
}

function usualDistance(items) {
    const distances = items.slice(1).map((item, place) => item.ts - items[place].ts);
    distances.sort((a, b) => a - b);
    return distances[Math.floor(distances.length / 2)] ?? 0;
}

// Minimum, mean, maximum and number of all readings of a series, for who cannot see the chart; null without readings.
export function summary(items) {
    if (items.length === 0) return null;
    const total = items.reduce((sum, item) => sum + item.count, 0);
    return {
        min: items.reduce((least, item) => Math.min(least, item.min), Infinity),
        avg: items.reduce((sum, item) => sum + item.avg * (item.count / total), 0),
        max: items.reduce((most, item) => Math.max(most, item.max), -Infinity),
        count: total,
        last: items.at(-1).avg,
    };
}

// What the vertical axis spans: the data, the thresholds that are near them, and some air.
export function span(low, high, lines) {
    if (low === null || high === null) return [0, 100];
    const reach = Math.max(high - low, Math.abs(high) * 0.05, 1e-9);
    for (const line of lines) {
        if (line < low && low - line <= reach) low = line;
        if (line > high && line - high <= reach) high = line;
    }
    const air = Math.max((high - low) * 0.08, Math.abs(high) * 0.005, 1e-9);
    return [low - air, high + air];
}
