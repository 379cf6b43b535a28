// The page: asks who is there, then shows the frame and in it the view that the address names.

import * as api from "./api.js";
import { createGateway } from "./gateway.js";
import { showLogin } from "./login.js";
import * as session from "./session.js";
import { showShell } from "./shell.js";
import * as theme from "./theme.js";
import { fill, h } from "./dom.js";

const RETRY_MS = 2000;

const app = document.getElementById("app");
let leave = null;

function exit() {
    leave?.();
    leave = null;
}

function enter() {
    const gateway = createGateway();
    const shell = showShell(app, gateway, logout);
    leave = () => {
        shell.end();
        gateway.end();
    };
}

async function logout() {
    await session.logout();
    await start();
}

async function start() {
    exit();
    try {
        await session.load();
    } catch (problem) {
        if (problem.status === 401) showLogin(app, enter);
        else wait(problem.message);
        return;
    }
    enter();
}

function wait(message) {
    const text = h("p", {}, `${message} Trying again…`);
    fill(app, h("main", { id: "main", class: "center" }, h("h1", {}, "Edge gateway"), text));
    setTimeout(start, RETRY_MS);
}

api.unauthorized.on(() => {
    if (!leave) return;
    exit();
    showLogin(app, enter);
});
theme.load();
start();
