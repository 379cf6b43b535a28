// In what condition a sensor is: the word, the icon and the colour of its tile.

import { severity } from "./alerts.js";

// In the order in which people want to see them.
export const CONDITIONS = {
    critical: { rank: 0, icon: "critical", word: "Critical" },
    warning: { rank: 1, icon: "warning", word: "Alert" },
    info: { rank: 2, icon: "info", word: "Notice" },
    seen: { rank: 3, icon: "seen", word: "Acknowledged" },
    quiet: { rank: 4, icon: "quiet", word: "Quiet" },
    ok: { rank: 5, icon: "ok", word: "Normal" },
};

export function conditionOf(gateway, sensor, now) {
    const worst = gateway.alerts.of(sensor.id)[0];
    if (worst) return worst.state === "acknowledged" ? "seen" : severity(worst);
    return gateway.sensors.isQuiet(sensor, now) ? "quiet" : "ok";
}
