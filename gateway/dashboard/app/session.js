// Who looks at the page, and what they may do.

import * as api from "./api.js";

const PATH = "/api/v1/session";
const RANK = { read: 0, write: 1, admin: 2 };

// What a role has to be at least.
const NEEDED = { acknowledge: "write", retry: "admin", drop: "admin", rules: "admin" };

let session = { name: null, role: "read" };

export const current = () => session;

export async function load() {
    session = await api.get(PATH);
}

export async function login(token) {
    session = await api.post(PATH, { token });
}

export const logout = () => api.remove(PATH);

export const may = (act) => RANK[session.role] >= RANK[NEEDED[act]];

// The reason that stands on a button that is switched off.
export const whyNot = (act) => `This needs the role ${NEEDED[act]}; yours is ${session.role}.`;
