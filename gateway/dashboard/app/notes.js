// Short words to people: seen at the edge of the page, heard by who uses a screen reader.

import { h, icon } from "./dom.js";

const SHOWN_MS = 6000;

// For screen readers only. What is said while nobody had time to hear it is replaced.
export function say(text) {
    document.getElementById("said").textContent = text;
}

// `tone` is "ok" or "trouble"; trouble stays until it is closed.
export function note(text, tone = "ok") {
    const close = h("button", { class: "quiet-button", type: "button", onclick: () => toast.remove() }, "Close");
    const toast = h("div", { class: `toast ${tone}` }, icon(tone === "ok" ? "ok" : "warning"), h("p", {}, text), close);
    document.getElementById("toasts").append(toast);
    say(text);
    if (tone === "ok") setTimeout(() => toast.remove(), SHOWN_MS);
}

// Runs what a button does: the button waits meanwhile, what goes wrong is told.
export async function attempt(button, act) {
    button.disabled = true;
    try {
        return await act();
    } catch (problem) {
        note(problem.message, "trouble");
        return undefined;
    } finally {
        button.disabled = false;
    }
}
