// Draws a sparkline.

const PADDING = 3;

// The line through the last values of the slots, and lightly what they spanned. `colour` is a CSS colour.
export function drawSpark(canvas, slots, colour) {
    const scale = Math.min(devicePixelRatio || 1, 2);
    const width = Math.round(canvas.clientWidth * scale);
    const height = Math.round(canvas.clientHeight * scale);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    if (slots.length < 2 || width === 0) return;
    const first = slots[0].at;
    const length = Math.max(1, slots.at(-1).at - first);
    let low = Infinity;
    let high = -Infinity;
    for (const slot of slots) {
        low = Math.min(low, slot.low);
        high = Math.max(high, slot.high);
    }
    const reach = high - low || 1;
    const pad = PADDING * scale;
    const x = (at) => pad + ((at - first) / length) * (width - 2 * pad);
    const y = (value) => (high === low ? height / 2 : height - pad - ((value - low) / reach) * (height - 2 * pad));
    context.strokeStyle = colour;
    context.lineJoin = "round";

    context.globalAlpha = 0.2;
    context.fillStyle = colour;
    context.beginPath();
    for (const slot of slots) context.lineTo(x(slot.at), y(slot.high));
    for (let place = slots.length - 1; place >= 0; place--) context.lineTo(x(slots[place].at), y(slots[place].low));
    context.fill();

    context.globalAlpha = 1;
    context.lineWidth = 1.5 * scale;
    context.beginPath();
    for (const slot of slots) context.lineTo(x(slot.at), y(slot.value));
    context.stroke();

    const end = slots.at(-1);
    context.beginPath();
    context.arc(x(end.at), y(end.value), 2 * scale, 0, 2 * Math.PI);
    context.fill();
}
