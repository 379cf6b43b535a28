// Asks before something cannot be undone.

import { h } from "./dom.js";

// Resolves to whether it was confirmed. Escape and the other button mean no.
export function confirm(question, detail, act) {
    return new Promise((resolve) => {
        const no = h("button", { type: "button", onclick: () => dialog.close("") }, "Cancel");
        const yes = h("button", { type: "button", class: "danger", onclick: () => dialog.close("yes") }, act);
        const dialog = h(
            "dialog",
            { "aria-labelledby": "question", "aria-describedby": "consequence" },
            h("h2", { id: "question" }, question),
            h("p", { id: "consequence" }, detail),
            h("div", { class: "buttons end" }, no, yes),
        );
        dialog.addEventListener("close", () => {
            dialog.remove();
            resolve(dialog.returnValue === "yes");
        });
        document.body.append(dialog);
        dialog.showModal();
        no.focus();
    });
}
