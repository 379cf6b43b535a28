// What came in and could not be read.

import { fill, h, icon } from "../dom.js";
import { timeCell } from "../event-table.js";
import { payloadCell } from "../payload.js";
import { putAside } from "../put-aside.js";

export function showRejects(body) {
    const table = putAside({
        path: "/api/v1/rejects",
        one: "reject",
        many: "rejects",
        caption: "Messages that could not be read, the oldest first",
        heads: ["Topic", "Reason", "Payload", "Came"],
        cells: (item) => [
            h("span", { class: "wrap" }, item.topic),
            h("span", { class: "wrap" }, item.reason),
            payloadCell(item.payload ?? item.payload_base64 ?? "", item.payload === null ? "base64" : "text"),
            timeCell(item.received_at),
        ],
        nameOf: (item) => `the reject of ${item.topic}`,
        gone: "Its payload is deleted for good.",
        nothing: h(
            "div",
            { class: "card empty" },
            icon("ok"),
            h("h2", {}, "Nothing was rejected"),
            h("p", {}, "A message on a topic of readings that is neither a number nor JSON with one would be kept here, with the reason."),
        ),
    });
    fill(
        body,
        h(
            "p",
            { class: "lead" },
            "These messages were acknowledged, so their senders have forgotten them. Mend the sender; what can be read now – after the configuration was changed, say – comes in by a retry.",
        ),
        table.element,
    );
    return table.end;
}
