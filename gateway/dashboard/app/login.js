// The form for who has to say who they are.

import { fill, h, icon } from "./dom.js";
import * as session from "./session.js";

// Shows it in place of everything; `entered` is called when the token was taken.
export function showLogin(app, entered) {
    document.title = "Log in – Edge gateway";
    const token = h("input", {
        id: "token", type: "password", autocomplete: "current-password", required: true, spellcheck: "false",
        "aria-describedby": "fault token-hint",
    });
    const fault = h("p", { id: "fault", class: "fault", role: "alert" });
    const button = h("button", { class: "primary", type: "submit" }, "Log in");

    async function submit(event) {
        event.preventDefault();
        button.disabled = true;
        fault.textContent = "";
        try {
            await session.login(token.value.trim());
            entered();
        } catch (problem) {
            fault.textContent = problem.status === 401 ? "This token is not known." : problem.message;
            token.setAttribute("aria-invalid", "true");
            token.select();
        } finally {
            button.disabled = false;
        }
    }

    const form = h(
        "form",
        { class: "login card", onsubmit: submit },
        h("div", { class: "brand" }, icon("live"), h("h1", {}, "Edge gateway")),
        h("label", { for: "token" }, "Token"),
        token,
        fault,
        button,
        h(
            "p",
            { class: "hint", id: "token-hint" },
            "A token is made on the gateway: ",
            h("code", {}, "edge-gateway token add NAME --role read"),
        ),
    );
    fill(app, h("main", { id: "main", class: "center" }, form));
    token.focus();
}
