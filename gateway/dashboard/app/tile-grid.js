// A grid of tiles for thousands of sensors: only those in view, and a few rows around them, exist. What changes is
// painted together, ten times a second at most: more nobody can read.

import { h } from "./dom.js";
import * as api from "./api.js";
import * as theme from "./theme.js";
import { createTile } from "./tile.js";

const LEAST_WIDTH = 200;
// On a phone two tiles stand side by side.
const NARROW = 500;
const LEAST_WIDTH_NARROW = 150;
const GAP = 12;
const ROW = 132 + GAP;
const ROWS_AROUND = 2;
const PAINT_MS = 100;
const AGES_MS = 1000;
const ASKING_AT_ONCE = 3;
const PAST_MS = 10 * 60 * 1000;
const CONDITION_COLOURS = ["critical", "warning", "info", "seen", "quiet", "ok"];

export function createTileGrid(gateway) {
    const list = h("ul", { class: "tiles", "aria-label": "Sensors" });
    const tiles = [];
    const dirty = new Set();
    let sensors = [];
    let first = 0;
    let columns = 1;
    let frame = 0;
    let paintedAt = 0;
    let agedAt = 0;
    let isLaidOut = false;
    let asking = 0;
    let palette = readPalette();

    function readPalette() {
        const found = theme.colours(...CONDITION_COLOURS.map((name) => `spark-${name}`));
        return Object.fromEntries(CONDITION_COLOURS.map((name, place) => [name, found[place]]));
    }

    function request() {
        if (!frame) frame = requestAnimationFrame(paint);
    }

    function paint(now) {
        frame = 0;
        if (!isLaidOut) layOut();
        if (now - paintedAt < PAINT_MS) {
            if (dirty.size) request();
            return;
        }
        paintedAt = now;
        const isAging = now - agedAt >= AGES_MS;
        if (isAging) agedAt = now;
        for (const tile of tiles) {
            const sensor = tile.sensor();
            if (dirty.has(sensor.id)) tile.paint();
            else if (isAging) tile.paintAge(gateway.now());
        }
        dirty.clear();
        seed();
    }

    // Which sensors are in view, and the room that the others would take.
    function layOut() {
        isLaidOut = true;
        const box = list.getBoundingClientRect();
        const least = box.width < NARROW ? LEAST_WIDTH_NARROW : LEAST_WIDTH;
        columns = Math.max(1, Math.floor((box.width + GAP) / (least + GAP)));
        const rows = Math.ceil(sensors.length / columns);
        const above = Math.floor(-box.top / ROW) - ROWS_AROUND;
        const firstRow = Math.max(0, Math.min(above, rows - 1));
        const lastRow = Math.min(rows, Math.ceil((innerHeight - box.top) / ROW) + ROWS_AROUND);
        list.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
        list.style.paddingTop = `${firstRow * ROW}px`;
        list.style.paddingBottom = `${Math.max(0, rows - lastRow) * ROW}px`;
        show(firstRow * columns, Math.min(sensors.length, lastRow * columns));
    }

    // Tiles that leave at one end come in at the other, so that a tile that has the focus keeps its sensor.
    function show(from, to) {
        const wanted = Math.max(0, to - from);
        const shift = from - first;
        if (shift > 0) {
            for (let moved = Math.min(shift, tiles.length); moved > 0; moved--) {
                const tile = tiles.shift();
                tile.element.remove();
                if (tiles.length < wanted) put(tile, tiles.length);
            }
        }
        for (let moved = Math.min(-shift, wanted); moved > 0; moved--) put(createTile(gateway, colourOf), 0);
        while (tiles.length > wanted) tiles.pop().element.remove();
        while (tiles.length < wanted) put(createTile(gateway, colourOf), tiles.length);
        first = from;
        for (const [place, tile] of tiles.entries()) tile.show(sensors[from + place], from + place, sensors.length);
    }

    function put(tile, place) {
        list.insertBefore(tile.element, tiles[place]?.element ?? null);
        tiles.splice(place, 0, tile);
    }

    const colourOf = (condition) => palette[condition];

    // Asks for the past of those in view, a few at a time.
    function seed() {
        for (const tile of tiles) {
            if (asking >= ASKING_AT_ONCE) return;
            const sensor = tile.sensor();
            if (!sensor.isSeeded) ask(sensor);
        }
    }

    async function ask(sensor) {
        sensor.isSeeded = true;
        asking += 1;
        const to = Math.trunc(gateway.now());
        try {
            const query = { sensor: sensor.id, from: to - PAST_MS, to, points: 240 };
            sensor.trace.precede((await api.get("/api/v1/series", query)).items);
            dirty.add(sensor.id);
        } catch {
            // The line begins with what comes now.
        }
        asking -= 1;
        request();
    }

    function layOutSoon() {
        isLaidOut = false;
        request();
    }

    function repaintAll() {
        palette = readPalette();
        for (const sensor of sensors) dirty.add(sensor.id);
        request();
    }

    const touched = (id) => {
        dirty.add(id);
        request();
    };
    const ends = [
        gateway.sensors.touched.on((sensor) => touched(sensor.id)),
        gateway.alerts.changed.on(touched),
        theme.changed.on(repaintAll),
    ];
    const ticker = setInterval(request, AGES_MS);
    const observer = new ResizeObserver(() => {
        layOutSoon();
        for (const tile of tiles) dirty.add(tile.sensor().id);
    });
    observer.observe(list);
    addEventListener("scroll", layOutSoon, { passive: true });

    return {
        element: list,
        setSensors(given) {
            sensors = given;
            layOutSoon();
        },
        end() {
            for (const end of ends) end();
            clearInterval(ticker);
            observer.disconnect();
            removeEventListener("scroll", layOutSoon);
            cancelAnimationFrame(frame);
        },
    };
}
