// The part of MQTT.js that a page over WebSocket needs: its client and its WebSocket stream for browsers.

import { MqttClient } from "mqtt/lib/client";
import { browserStreamBuilder } from "mqtt/lib/connect/ws";

export function connect(url, options) {
    const { protocol, hostname, port, pathname } = new URL(url);
    const address = { protocol: protocol.slice(0, -1), hostname, host: hostname, path: pathname };
    const all = { ...options, ...address, port: Number(port) || undefined };
    return new MqttClient((client) => browserStreamBuilder(client, all), all);
}
