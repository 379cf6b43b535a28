// Light and dark: as the system has it, until somebody chooses. Canvases ask here for colours.

import { createSignal } from "./signal.js";

const KEY = "theme";
const THEMES = ["auto", "light", "dark"];
const dark = matchMedia("(prefers-color-scheme: dark)");

export const changed = createSignal();

export function load() {
    apply(localStorage.getItem(KEY) ?? "auto");
    dark.addEventListener("change", () => changed.send());
}

export const current = () => document.documentElement.dataset.theme ?? "auto";

// The next one; returns its name.
export function turn() {
    const next = THEMES[(THEMES.indexOf(current()) + 1) % THEMES.length];
    localStorage.setItem(KEY, next);
    apply(next);
    changed.send();
    return next;
}

function apply(theme) {
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
}

// What a variable of the style sheet is at present, as a canvas takes it. A variable itself would give both schemes.
export function colours(...names) {
    const probe = document.createElement("span");
    probe.hidden = true;
    document.body.append(probe);
    const found = names.map((name) => {
        probe.style.color = `var(--${name})`;
        return getComputedStyle(probe).color;
    });
    probe.remove();
    return found;
}
