// The gateway as the page knows it: one place that asks and listens, for all views.

import * as api from "./api.js";
import { createAlerts } from "./alerts.js";
import { decode } from "./decode.js";
import { connect } from "./live.js";
import { poll } from "./poll.js";
import { createSensors } from "./sensors.js";
import { createSignal } from "./signal.js";

const PAGE = 1000;
const MOST_SENSORS = 20_000;
const MOST_OPEN = 5000;
const STATUS_MS = 2000;
const SENSORS_MS = 5000;
const MANY_SENSORS = 500;
const MANY_SENSORS_MS = 15_000;

export function createGateway() {
    const sensors = createSensors();
    const alerts = createAlerts();
    const changed = createSignal();
    const text = new TextDecoder();
    const gateway = {
        sensors, alerts, changed,
        // "connecting", "live" or "away", and since when.
        state: "connecting",
        since: Date.now(),
        info: null,
        outbox: null,
        rules: [],
        isLoaded: false,
        // The gateway's clock: ages are told by it, whatever this machine's says.
        now: () => Date.now() + offset,
        loadRules,
        end,
    };
    let offset = 0;
    const polls = [];
    const status = poll(loadStatus, STATUS_MS, () => changed.send());
    polls.push(status);
    const live = connect({
        filters: async () => {
            await loadStatus();
            return gateway.info.topics.readings;
        },
        onReading(topic, payload) {
            const now = gateway.now();
            for (const reading of decode(topic, payload)) sensors.take(reading, topic, now);
        },
        onAlert(payload) {
            try {
                alerts.take(JSON.parse(text.decode(payload)));
            } catch {
                // Only the gateway may publish there; an empty message clears a retained one.
            }
        },
        onState(state) {
            if (state === "live") refresh();
            if (state === gateway.state || (gateway.state === "connecting" && state === "away" && recently())) return;
            gateway.state = state;
            gateway.since = Date.now();
            changed.send();
        },
    });
    // The first connection may take a moment: that is no outage yet.
    const recently = () => Date.now() - gateway.since < 3000;

    const sensorsEvery = () => (sensors.known.size > MANY_SENSORS ? MANY_SENSORS_MS : SENSORS_MS);
    const sensorPoll = poll(loadSensors, sensorsEvery);
    polls.push(sensorPoll, poll(loadAlerts, MANY_SENSORS_MS), poll(loadRules, 30_000));

    // What happened while nobody listened is asked for.
    function refresh() {
        for (const one of polls) one.now();
    }

    async function loadStatus() {
        const [info, outbox] = await Promise.all([api.get("/api/v1/gateway"), api.get("/api/v1/outbox")]);
        offset = info.now - Date.now();
        Object.assign(gateway, { info, outbox });
        changed.send();
    }

    async function loadSensors() {
        const items = await api.all("/api/v1/sensors", { limit: PAGE }, MOST_SENSORS);
        for (const item of items) sensors.merge(item);
        gateway.isLoaded = true;
        changed.send();
    }

    async function loadAlerts() {
        const since = alerts.newest();
        alerts.replace(await api.all("/api/v1/alerts", { state: "open", limit: PAGE }, MOST_OPEN), since);
    }

    async function loadRules() {
        gateway.rules = (await api.get("/api/v1/rules")).items;
    }

    function end() {
        live.end();
        for (const one of polls) one.stop();
    }

    return gateway;
}
