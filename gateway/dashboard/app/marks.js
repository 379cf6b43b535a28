// What is drawn over a chart: the lines at which rules compare, and where alerts began and ended.

const SIGN = 5;

// `lines` of `thresholds()`, each once.
export function drawLines(u, lines, colour, halo) {
    const { ctx, bbox } = u;
    const scale = devicePixelRatio;
    ctx.save();
    ctx.font = `${12 * scale}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
    ctx.lineWidth = scale;
    let lastLabel = -Infinity;
    for (const line of [...lines].sort((a, b) => b.value - a.value)) {
        const y = Math.round(u.valToPos(line.value, "y", true));
        if (y < bbox.top || y > bbox.top + bbox.height) continue;
        ctx.globalAlpha = line.kind === "clear" ? 0.6 : 1;
        ctx.strokeStyle = colour;
        ctx.setLineDash(line.kind === "clear" ? [2 * scale, 4 * scale] : [7 * scale, 4 * scale]);
        ctx.beginPath();
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
        ctx.stroke();
        const above = y - 4 * scale;
        // Labels of lines that are close would cover each other.
        if (y - lastLabel < 14 * scale && y > lastLabel) continue;
        lastLabel = y;
        ctx.setLineDash([]);
        ctx.strokeStyle = halo;
        ctx.lineWidth = 3 * scale;
        ctx.strokeText(label(line), bbox.left + 6 * scale, above);
        ctx.fillStyle = colour;
        ctx.fillText(label(line), bbox.left + 6 * scale, above);
        ctx.lineWidth = scale;
    }
    ctx.restore();
}

export const label = (line) => `${line.rule}${line.kind === "clear" ? " clears" : ""} ${line.operator} ${line.value}`;

// Raised alerts as filled triangles, cleared ones as rings: the shape tells, not only the colour.
export function drawAlerts(u, events, raised, cleared, halo) {
    const { ctx, bbox } = u;
    const size = SIGN * devicePixelRatio;
    ctx.save();
    ctx.lineWidth = 1.5 * devicePixelRatio;
    for (const event of events) {
        const x = u.valToPos(event.ts / 1000, "x", true);
        if (x < bbox.left || x > bbox.left + bbox.width) continue;
        const y = Math.min(bbox.top + bbox.height, Math.max(bbox.top, u.valToPos(event.value, "y", true)));
        ctx.beginPath();
        if (event.state === "cleared") {
            ctx.arc(x, y, size * 0.8, 0, 2 * Math.PI);
            ctx.fillStyle = halo;
            ctx.strokeStyle = cleared;
        } else {
            ctx.moveTo(x, y - size * 1.2);
            ctx.lineTo(x + size * 1.1, y + size * 0.8);
            ctx.lineTo(x - size * 1.1, y + size * 0.8);
            ctx.closePath();
            ctx.fillStyle = raised;
            ctx.strokeStyle = halo;
        }
        ctx.fill();
        ctx.stroke();
    }
    ctx.restore();
}
