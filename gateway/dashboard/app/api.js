// Calls of the gateway's HTTP API. Every fault becomes a `Problem` with a sentence for people.

import { createSignal } from "./signal.js";

const PATIENCE_MS = 20_000;

// Somebody has to log in.
export const unauthorized = createSignal();

export class Problem extends Error {
    constructor(status, detail, document = {}) {
        super(detail);
        this.status = status;
        this.document = document;
    }
}

export const get = (path, query = {}) => call("GET", path, { query });
export const post = (path, body, query = {}) => call("POST", path, { body, query });
export const put = (path, body) => call("PUT", path, { body });
export const remove = (path) => call("DELETE", path, {});

// All pages of a list, at most `most` items.
export async function all(path, query, most) {
    const items = [];
    let after;
    do {
        const page = await get(path, { ...query, after });
        items.push(...page.items);
        after = page.next;
    } while (after !== null && items.length < most);
    return items;
}

async function call(method, path, { body, query = {} }) {
    const asked = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== undefined && value !== ""));
    const url = asked.size ? `${path}?${asked}` : path;
    const request = { method, signal: AbortSignal.timeout(PATIENCE_MS), cache: "no-store" };
    if (body !== undefined) {
        request.headers = { "content-type": "application/json" };
        request.body = JSON.stringify(body);
    }
    let response;
    try {
        response = await fetch(url, request);
    } catch {
        throw new Problem(0, "The gateway does not answer.");
    }
    if (response.status === 401) unauthorized.send();
    const answer = await response.json().catch(() => null);
    // The readiness of a gateway that is not ready is an answer, too.
    if (!response.ok) throw new Problem(response.status, sentence(response, answer), answer ?? {});
    return answer;
}

function sentence(response, answer) {
    const detail = answer?.detail ?? answer?.title ?? `The gateway answered ${response.status}.`;
    return detail.charAt(0).toUpperCase() + detail.slice(1);
}
