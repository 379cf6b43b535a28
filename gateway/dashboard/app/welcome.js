// What a newcomer sees: the gateway works, nothing has come yet, and a line that changes that.

import { copyable } from "./copyable.js";
import { h } from "./dom.js";

export function welcome(info) {
    return h(
        "div",
        { class: "card welcome" },
        h("h3", {}, "No sensor has sent anything yet"),
        h("p", {}, "The gateway is up and listens. Paste this line into a terminal, and a tile appears here:"),
        copyable(publishLine(info)),
        h("p", {}, "No MQTT client at hand? HTTP does as well:"),
        copyable(
            `curl -H 'content-type: application/json' -d '{"sensor_id":"boiler","value":80}' ${location.origin}/data`,
        ),
        h(
            "p",
            { class: "hint" },
            "Readings are what comes on ",
            info.topics.readings.flatMap((filter, place) => [place ? ", " : "", h("code", {}, filter)]),
            ". A value over 75 raises an alert by the rules that the gateway brings along: try 80.",
        ),
    );
}

export function publishLine(info) {
    const [host, port] = mqttAddress(info);
    const where = `${host === "127.0.0.1" ? "" : `-h ${host} `}${port === "1883" ? "" : `-p ${port} `}`;
    return `mosquitto_pub ${where}-t ${topic(info.topics.readings[0])} -m 80`;
}

// A listener on all addresses is reached where this page was.
function mqttAddress(info) {
    const address = info.mqtt.address ?? "127.0.0.1:1883";
    const cut = address.lastIndexOf(":");
    const host = address.slice(0, cut).replace(/^\[|\]$/g, "");
    const isAny = host === "0.0.0.0" || host === "::";
    return [isAny ? location.hostname.replace(/^\[|\]$/g, "") : host, address.slice(cut + 1)];
}

// A topic that the filter means.
function topic(filter = "sensors/#") {
    return filter.replace("/#", "/boiler").replace("#", "boiler").replaceAll("+", "boiler");
}
