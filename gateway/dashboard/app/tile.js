// One tile: a sensor's name, condition, newest value and sparkline.

import { CONDITIONS, conditionOf } from "./conditions.js";
import { h, icon, setAttribute, setText } from "./dom.js";
import { drawSpark } from "./spark.js";
import * as words from "./words.js";

export function createTile(gateway, colourOf) {
    const name = h("span", { class: "tile-name" });
    const word = h("span", {});
    const sign = icon("ok");
    const value = h("span", { class: "tile-value" });
    const unit = h("span", { class: "tile-unit" });
    const age = h("span", { class: "tile-age" });
    const canvas = h("canvas", { class: "spark", "aria-hidden": "true" });
    const link = h(
        "a",
        {},
        h("span", { class: "tile-head" }, name, h("span", { class: "condition" }, sign, word)),
        h("span", { class: "tile-body" }, value, unit),
        canvas,
        age,
    );
    const element = h("li", { class: "tile" }, link);
    const use = sign.firstChild;
    let shown = null;
    let isSmall = false;

    return {
        element,
        sensor: () => shown,

        show(sensor, place, size) {
            if (shown !== sensor) {
                shown = sensor;
                setText(name, sensor.id);
                name.title = sensor.id;
                element.dataset.sensor = sensor.id;
                link.href = `#/charts?${new URLSearchParams({ s: sensor.id })}`;
                this.paint();
            }
            setAttribute(element, "aria-posinset", String(place + 1));
            setAttribute(element, "aria-setsize", String(size));
        },

        paint() {
            const now = gateway.now();
            const condition = conditionOf(gateway, shown, now);
            setAttribute(element, "data-condition", condition);
            setAttribute(use, "href", `#i-${CONDITIONS[condition].icon}`);
            setText(word, CONDITIONS[condition].word);
            const text = words.value(shown.value);
            setText(value, text);
            if (isSmall !== text.length > 8) {
                isSmall = !isSmall;
                value.classList.toggle("small", isSmall);
            }
            setText(unit, shown.unit);
            this.paintAge(now);
            drawSpark(canvas, shown.trace.slots, colourOf(condition));
        },

        paintAge(now) {
            setText(age, shown.at ? words.ago(shown.at, now) : "no reading yet");
        },
    };
}
