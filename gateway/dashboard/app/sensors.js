// What is known of each sensor: from the API what was before, from MQTT what comes.

import { createSignal } from "./signal.js";
import { Trace } from "./trace.js";

// A sensor is quiet when it has said nothing for so many times its usual interval, and for at least so long.
const QUIET_TIMES = 6;
const QUIET_LEAST_MS = 60_000;

export function createSensors() {
    const known = new Map();
    const changed = new Set();
    const added = createSignal();
    const touched = createSignal();

    function find(id) {
        let sensor = known.get(id);
        if (!sensor) {
            sensor = {
                id, value: null, ts: 0, at: 0, count: 0, unit: "", topic: null, reading: 0,
                interval: null, trace: new Trace(), isSeeded: false,
            };
            known.set(id, sensor);
            added.send(sensor);
        }
        return sensor;
    }

    function touch(sensor) {
        changed.add(sensor.id);
        touched.send(sensor);
    }

    return {
        known,
        // Ids of those that changed since somebody emptied it.
        changed,
        added,
        touched,

        // A reading that came by MQTT at `now`, the gateway's time.
        take({ sensor: id, value, ts, attributes }, topic, now) {
            const sensor = find(id);
            if (sensor.at) {
                const passed = now - sensor.at;
                sensor.interval = sensor.interval === null ? passed : sensor.interval * 0.9 + passed * 0.1;
            }
            sensor.at = now;
            sensor.topic = topic;
            sensor.count += 1;
            sensor.trace.add(now, value);
            if (typeof attributes.unit === "string") sensor.unit = attributes.unit.slice(0, 12);
            // A sensor may send its past later; the newest value stays.
            if ((ts ?? now) >= sensor.ts) {
                sensor.ts = ts ?? now;
                sensor.value = value;
            }
            touch(sensor);
        },

        // An item of `/api/v1/sensors`.
        merge({ sensor_id, count, last }) {
            const sensor = find(sensor_id);
            sensor.count = Math.max(sensor.count, count);
            if (!last || last.id === sensor.reading) return;
            sensor.reading = last.id;
            if (typeof last.attributes?.unit === "string") sensor.unit = last.attributes.unit.slice(0, 12);
            if (last.received_at > sensor.at) {
                sensor.at = last.received_at;
                sensor.trace.add(last.received_at, last.value);
                if (last.ts >= sensor.ts) {
                    sensor.ts = last.ts;
                    sensor.value = last.value;
                }
            }
            touch(sensor);
        },

        isQuiet(sensor, now) {
            const patience = Math.max(QUIET_LEAST_MS, QUIET_TIMES * (sensor.interval ?? 0));
            return sensor.at > 0 && now - sensor.at > patience;
        },
    };
}
