// The part of MQTT.js that a page over WebSocket needs: its client and its WebSocket stream for browsers.

import client from "mqtt/lib/client";
import ws from "mqtt/lib/connect/ws";

export function connect(url, options) {
    const { protocol, hostname, port, pathname } = new URL(url);
    const address = { protocol: protocol.slice(0, -1), hostname, host: hostname, path: pathname };
    const all = { ...options, ...address, port: Number(port) || undefined };
    return new client.default((one) => ws.browserStreamBuilder(one, all), all);
}
