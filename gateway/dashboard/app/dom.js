// Makes elements. Texts become text nodes and nothing is ever parsed as HTML: what sensors say is not to be trusted.

const SVG = "http://www.w3.org/2000/svg";

// `h("p", { class: "hint", onclick: act }, "text", h("b", {}, "more"))`. Functions become listeners, `true` an attribute
// without a value; `null`, `undefined` and `false` are left out, as properties and as children.
export function h(name, properties = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(properties)) {
        if (value === null || value === undefined || value === false) continue;
        if (typeof value === "function") element.addEventListener(key.slice(2), value);
        else element.setAttribute(key, value === true ? "" : value);
    }
    element.append(...present(children));
    return element;
}

export function fill(element, ...children) {
    element.replaceChildren(...present(children));
    return element;
}

const present = (children) => children.flat(2).filter((child) => child !== null && child !== undefined && child !== false);

// An icon of index.html. It says nothing to who cannot see it: a word has to stand beside it.
export function icon(name) {
    const svg = document.createElementNS(SVG, "svg");
    const use = document.createElementNS(SVG, "use");
    svg.setAttribute("class", "icon");
    svg.setAttribute("aria-hidden", "true");
    use.setAttribute("href", `#i-${name}`);
    svg.append(use);
    return svg;
}

// Writes only what has changed, which spares the browser the layout.
export function setText(element, text) {
    if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}
