// Readings and alerts as they come: MQTT over WebSocket, as any dashboard would do it.

import { connect as open } from "../vendor/mqtt.js";

const RETRY_MS = 1000;

// Connects and stays connected. `filters` gives the topics of readings, asked for at each connection. `onState` is
// told "live" once subscribed, and "away".
export function connect({ filters, onReading, onAlert, onState }) {
    const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/mqtt`;
    const client = open(url, {
        protocolVersion: 5,
        clientId: `dashboard-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`,
        clean: true,
        keepalive: 30,
        reconnectPeriod: RETRY_MS,
        connectTimeout: 10_000,
        resubscribe: false,
        queueQoSZero: false,
        // The other kinds of timers live in a worker made of a blob, which the page's policy forbids.
        timerVariant: "native",
    });
    client.on("connect", () => subscribe(client, filters, onState));
    client.on("close", () => onState("away"));
    // It tries again by itself; `close` has told of it.
    client.on("error", () => {});
    client.on("message", (topic, payload) => {
        if (topic.startsWith("alerts/")) onAlert(payload);
        else onReading(topic, payload);
    });
    const back = () => client.connected || client.reconnect();
    window.addEventListener("online", back);
    return {
        end() {
            window.removeEventListener("online", back);
            client.removeAllListeners("close");
            client.end(true);
        },
    };
}

// Retained messages are not asked for: the API tells what was before, and better.
async function subscribe(client, filters, onState) {
    try {
        const readings = await filters();
        const wanted = { "alerts/#": { qos: 1, rh: 2 } };
        for (const filter of readings) wanted[filter] = { qos: 0, rh: 2 };
        await client.subscribeAsync(wanted);
        onState("live");
    } catch {
        // As if the connection had failed: it comes again, and so does this.
        if (client.connected) client.stream.destroy();
    }
}
