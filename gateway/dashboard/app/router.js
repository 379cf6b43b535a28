// The view that the address names: `#/charts?s=boiler`.

// `{ name, query }` of the present address.
export function here() {
    const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
    return { name: path || "overview", query: new URLSearchParams(query) };
}

// Replaces the query of the present view without leaving it.
export function remember(query) {
    const { name } = here();
    history.replaceState(null, "", query.size ? `#/${name}?${query}` : `#/${name}`);
}
