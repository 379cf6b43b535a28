// The recent past of one sensor, as much as a sparkline shows. Pure.

const SPAN_MS = 10 * 60 * 1000;
const MOST_SLOTS = 120;
const SHORTEST_SLOT_MS = 1000;

// Slots of equal width, each with the least and the greatest value, so that no spike is lost. When there are too many,
// two become one.
export class Trace {
    constructor() {
        this.slots = [];
        this.width = SHORTEST_SLOT_MS;
    }

    add(ts, value, low = value, high = value) {
        const last = this.slots.at(-1);
        const start = Math.floor(ts / this.width) * this.width;
        if (last && start <= last.ts) {
            // What comes late counts where the line ends: a sparkline is no record.
            last.low = Math.min(last.low, low);
            last.high = Math.max(last.high, high);
            if (ts >= last.at) Object.assign(last, { at: ts, value });
            return;
        }
        this.slots.push({ ts: start, at: ts, value, low, high });
        if (this.slots.length > MOST_SLOTS) this.shrink(ts);
    }

    shrink(now) {
        this.slots = this.slots.filter((slot) => slot.ts > now - SPAN_MS);
        if (this.slots.length <= MOST_SLOTS) return;
        this.width *= 2;
        const merged = new Trace();
        merged.width = this.width;
        for (const slot of this.slots) merged.add(slot.at, slot.value, slot.low, slot.high);
        this.slots = merged.slots;
    }

    // Puts what was stored before what came since.
    precede(items) {
        const live = this.slots;
        this.slots = [];
        for (const item of items) {
            if (live.length && item.ts >= live[0].ts) break;
            this.add(item.ts, item.avg, item.min, item.max);
        }
        for (const slot of live) this.add(slot.at, slot.value, slot.low, slot.high);
    }
}
