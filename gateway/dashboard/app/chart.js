// A chart of stored series, drawn by uPlot: mean as a line, minimum to maximum as a band around it.

import { columns, span } from "./columns.js";
import { h } from "./dom.js";
import { drawAlerts, drawLines } from "./marks.js";
import * as theme from "./theme.js";

const { uPlot } = globalThis;
const COLOURS = ["series-1", "series-2", "series-3", "series-4", "series-5", "series-6", "series-7", "series-8"];
const DAY = 86400;

// Sensors that one chart can tell apart.
export const MOST_SERIES = COLOURS.length;

// `onZoom(from, to)` in milliseconds; `onCursor(place)` with the place in `valueAt`, or null.
export function createChart({ onZoom, onCursor }) {
    const element = h("div", { class: "plot" });
    let plot = null;
    let shape = "";
    let shown = { series: [], lines: [], events: [], from: 0, to: 1 };

    function data() {
        const tables = shown.series.map(({ items }) => {
            const { ts, min, avg, max } = columns(items, shown.bucketMs);
            return [ts, max, min, avg];
        });
        return tables.length ? uPlot.join(tables) : [[]];
    }

    function build() {
        const [text, grid, line, raised, cleared, surface, ...palette] = theme.colours(
            "muted", "line", "threshold", "critical", "ok", "surface", ...COLOURS,
        );
        const series = [{}];
        const bands = [];
        for (const [place] of shown.series.entries()) {
            const stroke = palette[place];
            const edge = { stroke: "transparent", width: 0, points: { show: false } };
            bands.push({ series: [series.length, series.length + 1], fill: stroke.replace("rgb(", "rgba(").replace(")", ", 0.16)") });
            series.push(edge, edge, { stroke, width: 2, points: { size: 4, fill: stroke } });
        }
        const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "12px system-ui, sans-serif" };
        plot?.destroy();
        plot = new uPlot(
            {
                ...size(),
                series,
                bands,
                legend: { show: false },
                scales: {
                    x: { range: () => [shown.from / 1000, shown.to / 1000] },
                    y: { range: (_, low, high) => span(low, high, shown.lines.map((one) => one.value)) },
                },
                axes: [
                    { ...axis, space: 110, values: (_, splits, __, ___, step) => splits.map((at) => moment(at, step)) },
                    { ...axis, size: axisSize },
                ],
                cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 8 } },
                hooks: {
                    setSelect: [zoomed],
                    setCursor: [(u) => onCursor(u.cursor.idx ?? null)],
                    draw: [
                        (u) => drawLines(u, shown.lines, line, surface),
                        (u) => drawAlerts(u, shown.events, raised, cleared, surface),
                    ],
                },
            },
            data(),
            element,
        );
    }

    function zoomed(u) {
        const { left, width } = u.select;
        if (width < 5) return;
        u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        onZoom(Math.round(u.posToVal(left, "x") * 1000), Math.round(u.posToVal(left + width, "x") * 1000));
    }

    const size = () => ({ width: Math.max(200, element.clientWidth), height: Math.max(220, element.clientHeight) });
    const rebuild = () => shape && build();
    const observer = new ResizeObserver(() => plot?.setSize(size()));
    observer.observe(element);
    const end = theme.changed.on(rebuild);

    return {
        element,
        // `{ series: [{ sensor, items }], lines, events, from, to, bucketMs }`
        show(given) {
            shown = given;
            const wanted = given.series.map(({ sensor }) => sensor).join("\n");
            if (wanted === shape && plot) plot.setData(data());
            else {
                shape = wanted;
                build();
            }
        },
        // Time and means at a place of the cursor.
        valueAt(place) {
            const values = shown.series.map((_, number) => plot.data[number * 3 + 3][place] ?? null);
            return { ts: plot.data[0][place] * 1000, values };
        },
        end() {
            end();
            observer.disconnect();
            plot?.destroy();
        },
    };
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const seconds = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

function moment(at, step) {
    const date = new Date(at * 1000);
    if (step >= DAY) return day.format(date);
    if (step < 60) return seconds.format(date);
    const isMidnight = date.getHours() === 0 && date.getMinutes() === 0;
    return isMidnight ? day.format(date) : clock.format(date);
}

// As wide as the longest label needs.
function axisSize(u, labels) {
    const longest = (labels ?? []).reduce((most, one) => Math.max(most, String(one).length), 3);
    return 22 + longest * 7;
}
