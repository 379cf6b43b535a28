// The open alerts: what the API says is open, and each event since.

import { createSignal } from "./signal.js";

// Of so many alerts that are over it is remembered that they are, for answers that were under way meanwhile.
const MOST_OVER = 5000;

export function createAlerts() {
    const open = new Map();
    const ofSensor = new Map();
    const over = new Map();
    const changed = createSignal();
    const raised = createSignal();

    function set(event) {
        open.set(event.episode, event);
        const episodes = ofSensor.get(event.sensor_id) ?? new Set();
        ofSensor.set(event.sensor_id, episodes.add(event.episode));
    }

    function forget(episode) {
        const event = open.get(episode);
        if (!event) return;
        open.delete(episode);
        const episodes = ofSensor.get(event.sensor_id);
        episodes.delete(episode);
        if (episodes.size === 0) ofSensor.delete(event.sensor_id);
    }

    function clear(event) {
        forget(event.episode);
        over.set(event.episode, event.alert_id);
        if (over.size > MOST_OVER) over.delete(over.keys().next().value);
    }

    return {
        open,
        changed,
        // Sent for the first event of an alert only.
        raised,

        // An event as it came by MQTT.
        take(event) {
            const known = open.get(event.episode);
            if (known && event.alert_id <= known.alert_id) return;
            if (event.state === "cleared") clear(event);
            else if (!over.has(event.episode)) {
                forget(event.episode);
                set(event);
                if (!known && event.state === "raised") raised.send(event);
            }
            changed.send(event.sensor_id);
        },

        // The whole truth, asked for when the newest known event was `since`: what came later stays.
        replace(events, since) {
            const before = new Set(ofSensor.keys());
            const given = new Map(events.map((event) => [event.episode, event]));
            for (const [episode, event] of open) {
                if (!given.has(episode) && event.alert_id <= since) forget(episode);
            }
            for (const event of events) {
                const known = open.get(event.episode);
                if (over.has(event.episode) || (known && event.alert_id <= known.alert_id)) continue;
                forget(event.episode);
                set(event);
            }
            for (const sensor of new Set([...before, ...ofSensor.keys()])) changed.send(sensor);
        },

        newest() {
            let newest = 0;
            for (const event of open.values()) newest = Math.max(newest, event.alert_id);
            return newest;
        },

        // Those of a sensor, the worst first.
        of(sensor) {
            return [...(ofSensor.get(sensor) ?? [])].map((episode) => open.get(episode)).sort(byWeight);
        },

        // All, the worst first, then the newest.
        list: () => [...open.values()].sort(byWeight),
    };
}

const SEVERITIES = ["info", "warning", "critical"];

// An alert whose rule does not say how grave it is counts as a warning.
export const severity = (event) => event.severity ?? "warning";

function byWeight(a, b) {
    const seen = Number(a.state === "acknowledged") - Number(b.state === "acknowledged");
    return seen || SEVERITIES.indexOf(severity(b)) - SEVERITIES.indexOf(severity(a)) || b.episode - a.episode;
}
