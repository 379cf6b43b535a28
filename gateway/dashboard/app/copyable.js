// A line to paste, with a button that copies it.

import { h } from "./dom.js";
import { say } from "./notes.js";

export function copyable(line) {
    const code = h("code", {}, line);
    const button = h("button", { type: "button", class: "small-button" }, "Copy");
    button.addEventListener("click", async () => {
        try {
            await navigator.clipboard.writeText(line);
            button.textContent = "Copied";
            say("Copied");
        } catch {
            // Beyond localhost and without TLS a browser has no clipboard: the line is marked instead.
            getSelection().selectAllChildren(code);
        }
    });
    return h("div", { class: "copyable" }, h("pre", { tabindex: "0" }, code), button);
}
