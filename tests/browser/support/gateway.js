// A gateway of its own for each test, the real binary on free ports of the loopback.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { run, start } from "./program.js";

const BINARY = process.env.GATEWAY_BINARY;
const SIMULATOR = process.env.SIMULATOR_BINARY;

// `configuration` is what stands below the sections that every test has, `top` above them. `tokens` are roles by name;
// `gateway.tokens` has their tokens then, and without one nobody may come.
export async function startGateway(t, { configuration = "", top = "", tokens = {} } = {}) {
    const folder = await mkdtemp(join(tmpdir(), "edge-gateway-browser-"));
    const config = join(folder, "gateway.toml");
    const hasTokens = Object.keys(tokens).length > 0;
    await writeFile(
        config,
        `gateway_id = "edge-test"
${top}
[mqtt]
listen = "127.0.0.1:0"
websocket_listen = ""
[http]
listen = "127.0.0.1:0"
${hasTokens ? `anonymous = "never"\ntoken_file = "tokens"` : ""}
[store]
path = "${folder}/gateway.db"
${configuration}`,
    );
    const gateway = {
        folder,
        config,
        tokens: {},
        // What speaks to it and has to end before it.
        clients: [],
        publish: (topic, message) =>
            run("mosquitto_pub", ["-h", "127.0.0.1", "-p", gateway.mqttPort, "-q", "1", "-t", topic, "-m", String(message)]),
        post: (readings) => call(gateway, "POST", "/data", readings),
        get: (path) => call(gateway, "GET", path),
        put: (path, body) => call(gateway, "PUT", path, body),
        stop: () => program.stop(),
        // On the same ports, as after a restart by a service manager.
        restart: async () => (program = await launch(gateway, { ...gateway.addresses })),
    };
    for (const [name, role] of Object.entries(tokens)) {
        const args = ["token", "add", name, "--role", role, "--token-file", join(folder, "tokens")];
        gateway.tokens[name] = (await run(BINARY, args)).trim();
    }
    let program = await launch(gateway, {});
    t.after(async () => {
        try {
            for (const client of gateway.clients) await client.stop("SIGKILL");
        } finally {
            await program.stop();
            await rm(folder, { recursive: true });
        }
    });
    return gateway;
}

async function launch(gateway, { mqtt, http }) {
    const addresses = {};
    const env = { RUST_LOG: "info" };
    if (http) Object.assign(env, { EDGE_GATEWAY_MQTT__LISTEN: mqtt, EDGE_GATEWAY_HTTP__LISTEN: http });
    const program = await start(BINARY, ["--config", gateway.config, "--log-format", "json"], {
        env,
        find(line) {
            if (!line.startsWith("{")) return undefined;
            const event = JSON.parse(line);
            if (event.message === "listening") addresses[event.transport] = event.address;
            return addresses.mqtt && addresses.http ? addresses : undefined;
        },
    });
    gateway.addresses = addresses;
    gateway.url = `http://${addresses.http}`;
    gateway.mqttPort = addresses.mqtt.split(":").at(-1);
    return program;
}

async function call(gateway, method, path, body) {
    const request = { method };
    if (body !== undefined) Object.assign(request, { headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    const response = await fetch(gateway.url + path, request);
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.json();
}

// A fleet of simulated sensors, at work until the test ends.
export async function startSensors(gateway, { count, rate }) {
    const args = ["sensors", "--count", String(count), "--rate", String(rate), "--broker", `127.0.0.1:${gateway.mqttPort}`, "--seed", "7"];
    gateway.clients.push(await start(SIMULATOR, args, { find: () => true }));
}

// The simulator's cloud on a port of its own; `script` tells it how to answer.
export async function startCloud(t) {
    const find = (line) => /http:\/\/localhost:(\d+)/.exec(line)?.[1];
    const program = await start(SIMULATOR, ["cloud", "--plain", "--listen", "127.0.0.1:0"], { find });
    t.after(() => program.stop());
    const url = `http://127.0.0.1:${program.found}`;
    return {
        url: `${url}/api/sync`,
        async script(plan) {
            const request = { method: "PUT", headers: { "content-type": "application/json" }, body: JSON.stringify(plan) };
            const response = await fetch(`${url}/script`, request);
            if (!response.ok) throw new Error(await response.text());
        },
    };
}

// Asks until the answer is one that counts.
export async function until(ask, limit = 20_000) {
    const end = Date.now() + limit;
    for (;;) {
        const answer = await ask();
        if (answer) return answer;
        if (Date.now() > end) throw new Error(`waited in vain: ${ask}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
}
