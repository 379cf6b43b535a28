// What the flow's function nodes do: `store` each message, `forward` what it gives.
const Database = require("better-sqlite3");

const MOST = 1000;

const db = new Database(process.env.DATABASE, { timeout: 30000 });
db.pragma("journal_mode = WAL");
db.pragma("synchronous = FULL");
db.exec("CREATE TABLE IF NOT EXISTS readings (id INTEGER PRIMARY KEY, sensor_id TEXT, value REAL, ts REAL, seq INTEGER)");
const insert = db.prepare("INSERT INTO readings (sensor_id, value, ts, seq) VALUES (?, ?, ?, ?)");
const storeAll = db.transaction((readings) => {
    for (const one of readings) insert.run(one.sensor_id, one.value, Date.now(), one.seq ?? null);
});

const arrived = [];

// What comes within a turn of the event loop is committed together. Sends alerts to the first output, what goes to the cloud to the second.
function store(node, msg) {
    const sensor_id = msg.topic.slice(msg.topic.lastIndexOf("/") + 1);
    const payload = JSON.parse(msg.payload);
    for (const reading of Array.isArray(payload) ? payload : [payload]) {
        arrived.push(typeof reading === "number" ? { sensor_id, value: reading } : { sensor_id, ...reading });
    }
    if (arrived.length === 0 || store.isDue) return;
    store.isDue = true;
    setImmediate(() => {
        store.isDue = false;
        const readings = arrived.splice(0);
        storeAll(readings);
        const alerts = readings.filter((one) => 75 < one.value);
        const forwarded = readings.filter((one) => 50 < one.value);
        node.send([
            alerts.map((one) => ({ topic: `alerts/${one.sensor_id}`, payload: JSON.stringify(one) })),
            forwarded.length ? { payload: forwarded } : null,
        ]);
    });
}

const waiting = [];
let sent;

// What has come while a request was on its way goes with the next one; the answer of each comes here as well.
function forward(msg) {
    if ("statusCode" in msg) {
        if (msg.statusCode < 200 || 299 < msg.statusCode) waiting.unshift(...sent);
        sent = undefined;
    } else {
        waiting.push(...msg.payload);
    }
    if (sent || waiting.length === 0) return null;
    sent = waiting.splice(0, MOST);
    return { payload: { readings: sent }, headers: { "content-type": "application/json" } };
}

module.exports = { store, forward };
