// What a message carried, as far as a table has room for it.

import { h } from "./dom.js";

const SHORT = 80;

// All of it can be unfolded. `kind` is "text" or "base64".
export function payloadCell(text, kind = "text") {
    const mark = kind === "base64" ? "base64: " : "";
    if (text === "") return h("em", {}, "empty");
    if (text.length <= SHORT) return h("code", { class: "payload" }, mark + text);
    return h(
        "details",
        {},
        h("summary", {}, h("code", { class: "payload" }, `${mark}${text.slice(0, SHORT)}…`)),
        h("pre", { tabindex: "0" }, h("code", {}, text)),
    );
}
