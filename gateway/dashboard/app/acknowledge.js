// The button by which somebody says that they have seen an alert.

import * as api from "./api.js";
import { h } from "./dom.js";
import { attempt, say } from "./notes.js";
import * as session from "./session.js";

export const acknowledge = (event) => api.post(`/api/v1/alerts/${event.alert_id}/ack`);

export function acknowledgeButton(event) {
    const isAllowed = session.may("acknowledge");
    const button = h(
        "button",
        {
            type: "button",
            class: "small-button",
            disabled: !isAllowed,
            title: isAllowed ? null : session.whyNot("acknowledge"),
            "aria-label": `Acknowledge ${event.rule} on ${event.sensor_id}`,
        },
        "Acknowledge",
    );
    button.addEventListener("click", async () => {
        await attempt(button, async () => {
            await acknowledge(event);
            say(`Acknowledged: ${event.rule} on ${event.sensor_id}`);
        });
    });
    return button;
}
