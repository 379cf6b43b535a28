// Chooses sensors by name, among thousands.

import { fill, h, icon } from "./dom.js";

const MOST_OFFERED = 30;

// `chosen()` gives the present ones; `add` and `drop` are told an id.
export function sensorPicker(gateway, { most, chosen, add, drop }) {
    const offers = h("datalist", { id: "sensor-offers" });
    const input = h("input", {
        id: "sensor-input", list: "sensor-offers", placeholder: "Add a sensor", autocomplete: "off", spellcheck: "false",
    });
    const chips = h("ul", { class: "chips", "aria-label": "Sensors in the chart" });
    const form = h(
        "form",
        { class: "picker", onsubmit: submit },
        h("label", { class: "hidden", for: "sensor-input" }, "Sensor to add"),
        input,
        offers,
        h("button", { type: "submit" }, "Add"),
    );

    function matching() {
        const wanted = input.value.trim().toLowerCase();
        const found = [];
        for (const id of gateway.sensors.known.keys()) {
            if (!chosen().includes(id) && id.toLowerCase().includes(wanted)) found.push(id);
            if (found.length === MOST_OFFERED) break;
        }
        return found;
    }

    function submit(event) {
        event.preventDefault();
        const exact = input.value.trim();
        const id = gateway.sensors.known.has(exact) ? exact : matching()[0];
        if (!id || !exact || chosen().includes(id) || chosen().length >= most) return;
        input.value = "";
        add(id);
    }

    input.addEventListener("input", () => {
        fill(offers, matching().map((id) => h("option", { value: id })));
        if (gateway.sensors.known.has(input.value)) form.requestSubmit();
    });
    input.addEventListener("focus", () => fill(offers, matching().map((id) => h("option", { value: id }))));

    return {
        element: h("div", { class: "pick" }, chips, form),
        // `values` are shown beside the names, in the same order.
        paint(values) {
            const made = chosen().map((id, place) => chip(id, place, values[place], drop));
            fill(chips, made);
            form.hidden = chosen().length >= most;
        },
        paintValues(values) {
            for (const [place, value] of values.entries()) {
                const shown = chips.children[place]?.querySelector(".chip-value");
                if (shown) shown.textContent = value;
            }
        },
    };
}

function chip(id, place, value, drop) {
    const close = h("button", { type: "button", class: "chip-close", "aria-label": `Remove ${id} from the chart`, onclick: () => drop(id) }, "×");
    const swatch = h("span", { class: "swatch", "data-series": String(place + 1), "aria-hidden": "true" });
    return h("li", { class: "chip" }, swatch, h("span", { class: "chip-name", title: id }, id), h("span", { class: "chip-value" }, value ?? ""), close);
}

// For who has not chosen yet.
export function offerSensors(gateway, add) {
    const ids = [...gateway.sensors.known.keys()].slice(0, 24);
    return h(
        "div",
        { class: "card" },
        h("h2", {}, "Which sensor?"),
        h("p", {}, "Choose one here, or type a name above. A tile of the overview leads to its chart as well."),
        h("div", { class: "buttons" }, ids.map((id) => h("button", { type: "button", onclick: () => add(id) }, icon("charts"), id))),
    );
}
