// The frame around the views: which gateway, how it goes, where one can go.

import { severity } from "./alerts.js";
import { fill, h, icon, setAttribute, setText } from "./dom.js";
import { onceAFrame } from "./frame.js";
import { note, say } from "./notes.js";
import { here } from "./router.js";
import * as session from "./session.js";
import * as theme from "./theme.js";
import { VIEWS } from "./views/all.js";
import * as words from "./words.js";

const SAY_MS = 2000;

export function showShell(app, gateway, logout) {
    const name = h("span", { class: "gateway-name" }, "Edge gateway");
    const connection = pill("live");
    const alerts = pill("alerts", "#/alerts");
    const uplink = pill("uplink", "#/uplink");
    const banner = h("div", { id: "banner", role: "status" });
    const main = h("main", { id: "main" });
    const links = new Map(VIEWS.map((view) => [view.name, navLink(view)]));
    const header = h(
        "header",
        {},
        h("div", { class: "brand" }, icon("live"), name),
        h("div", { class: "pills" }, connection.element, alerts.element, uplink.element),
        h("div", { class: "tools" }, themeButton(), who(logout)),
    );
    const nav = h("nav", { "aria-label": "Views" }, h("ul", {}, [...links.values()].map((link) => h("li", {}, link))));
    fill(app, header, nav, banner, main);

    let end = null;
    let isFirst = true;
    function navigate() {
        const { name: wanted, query } = here();
        const view = VIEWS.find((one) => one.name === wanted) ?? VIEWS[0];
        end?.();
        for (const [one, link] of links) {
            if (one === view.name) link.setAttribute("aria-current", "page");
            else link.removeAttribute("aria-current");
        }
        const heading = h("h1", { tabindex: "-1" }, view.title);
        const body = h("div", { class: `view view-${view.name}` });
        fill(main, heading, body);
        end = view.show(body, gateway, query) ?? null;
        title();
        if (!isFirst) {
            scrollTo(0, 0);
            heading.focus({ preventScroll: true });
        }
        isFirst = false;
    }

    function title() {
        const view = VIEWS.find((one) => one.name === here().name) ?? VIEWS[0];
        const open = gateway.alerts.open.size;
        document.title = `${open ? `(${open}) ` : ""}${view.title} – ${gateway.info?.gateway_id ?? "Edge gateway"}`;
    }

    function paint() {
        if (gateway.info) setText(name, gateway.info.gateway_id);
        paintConnection(connection, banner, gateway);
        const open = gateway.alerts.open.size;
        const worst = gateway.alerts.list().find((one) => one.state === "raised");
        alerts.paint(open ? words.counted(open, "open alert") : "No open alerts", worst ? severity(worst) : open ? "seen" : "ok");
        if (gateway.outbox) {
            const { tone, text } = words.uplinkShort(gateway.outbox);
            uplink.paint(text, tone);
        }
        title();
    }

    const soon = onceAFrame(paint);
    const ends = [gateway.changed.on(soon), gateway.alerts.changed.on(soon), announce(gateway)];
    addEventListener("hashchange", navigate);
    navigate();
    paint();
    return {
        end() {
            removeEventListener("hashchange", navigate);
            for (const one of ends) one();
            end?.();
        },
    };
}

function navLink(view) {
    return h("a", { href: `#/${view.name}` }, icon(view.name), h("span", {}, view.title));
}

// A word about the state, with a colour; a link if there is more to see.
function pill(sign, href) {
    const text = h("span", {}, "…");
    const element = h(href ? "a" : "span", { class: "pill", href, "data-pill": sign }, icon(sign), text);
    const use = element.firstChild.firstChild;
    return {
        element,
        paint(said, tone, as = sign) {
            setText(text, said);
            setAttribute(element, "data-tone", tone);
            setAttribute(use, "href", `#i-${as}`);
        },
    };
}

function paintConnection(connection, banner, gateway) {
    setAttribute(document.documentElement, "data-connection", gateway.state);
    if (gateway.state === "live") {
        connection.paint("Live", "ok");
        if (banner.firstChild) fill(banner);
        return;
    }
    if (gateway.state === "connecting") {
        connection.paint("Connecting…", "busy");
        return;
    }
    connection.paint("Disconnected", "trouble", "away");
    if (banner.firstChild) return;
    const since = h("time", { datetime: words.iso(gateway.since) }, words.time(gateway.since));
    const text = [h("strong", {}, "Disconnected from the gateway"), " since ", since, ". What you see is old. Trying again by itself…"];
    fill(banner, h("p", { class: "banner" }, icon("away"), h("span", {}, text)));
}

function themeButton() {
    const label = () => `Colours: ${theme.current()}`;
    const button = h("button", { type: "button", class: "icon-button", title: label(), "aria-label": label() }, icon("theme"));
    button.addEventListener("click", () => {
        theme.turn();
        button.title = label();
        button.setAttribute("aria-label", label());
        say(label());
    });
    return button;
}

// Who came without a token has nothing to leave.
function who(logout) {
    const { name, role } = session.current();
    if (name === null) return h("span", { class: "who who-anonymous" }, `Role ${role}`);
    const leave = async () => {
        try {
            await logout();
        } catch (problem) {
            note(problem.message, "trouble");
        }
    };
    const button = h("button", { type: "button", class: "icon-button", title: "Log out", "aria-label": "Log out", onclick: leave }, icon("leave"));
    return [h("span", { class: "who" }, `${name} (${role})`), button];
}

// Tells screen readers of new alerts, together and not too often.
function announce(gateway) {
    let fresh = [];
    let timer = null;
    let toldAt = -Infinity;
    const tell = () => {
        timer = null;
        toldAt = performance.now();
        const [one] = fresh;
        say(
            fresh.length === 1
                ? `New alert: ${one.rule} on ${one.sensor_id}, ${words.value(one.value)}`
                : `${words.count(fresh.length)} new alerts, the last: ${fresh.at(-1).rule} on ${fresh.at(-1).sensor_id}`,
        );
        fresh = [];
    };
    return gateway.alerts.raised.on((event) => {
        fresh.push(event);
        timer ??= setTimeout(tell, toldAt + SAY_MS - performance.now());
    });
}
