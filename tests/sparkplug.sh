#!/usr/bin/env bash
# The gateway and Sparkplug nodes of others: pysparkplug (Python), sparkplug-client (Node). `.ci/install` gets them.
# Prints a line for each check and exits with 1 if any failed.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/gateway.sh
python="${XDG_CACHE_HOME:-$HOME/.cache}/edge-gateway-sparkplug/bin/python"
modules="${XDG_CACHE_HOME:-$HOME/.cache}/edge-gateway-sparkplug-node/node_modules"

cat >"$work/gateway.toml" <<TOML
gateway_id = "sparkplug"
[mqtt]
listen = "127.0.0.1:0"
[http]
listen = "127.0.0.1:0"
[ingest.formats]
"spBv1.0/#" = "sparkplug-b"
[store]
path = "$work/gateway.db"
TOML
start

readings() {
    sql "SELECT group_concat(sensor_id || ' ' || value, '; ')
        FROM (SELECT * FROM readings WHERE sensor_id LIKE '$1/%' ORDER BY id)"
}
statuses() {
    sql "SELECT group_concat(device_id || ' ' || status, '; ')
        FROM (SELECT * FROM statuses WHERE device_id LIKE '$1:%' ORDER BY device_id)"
}
becomes() { [ "$($1 "$2")" = "$3" ]; }

# What the gateway's own definition has is what stands in the public one, as pysparkplug has it. Where the gateway keeps messages as
# bytes, until it looks at each, they are encoded alike.
fields() {
    "$python" - gateway/src/ingest/decode/sparkplug/payload.proto <<'PYTHON'
import re, sys
from google.protobuf.descriptor import FieldDescriptor as Field
from pysparkplug._protobuf import sparkplug_b_pb2 as public

kinds = {number: name.removeprefix("TYPE_").lower() for name, number in vars(Field).items() if name.startswith("TYPE_")}
checked = 0
for name, body in re.findall(r"^message (\w+) \{(.*?)^\}", open(sys.argv[1]).read(), re.M | re.S):
    known = public.Payload.DESCRIPTOR
    known = known if name == "Payload" else known.nested_types_by_name[name]
    for label, kind, field, number in re.findall(r"^ *(optional |repeated )?(\w+) (\w+) = (\d+);", body, re.M):
        found = known.fields_by_name[field]
        theirs = (found.number, kinds[found.type], found.is_repeated)
        ours = (int(number), kind, label == "repeated ")
        is_message = ours[1] == "bytes" and theirs[1] == "message" and ours[::2] == theirs[::2]
        assert ours == theirs or is_message or found.message_type and kind == found.message_type.name, (name, field, ours, theirs)
        checked += 1
print(checked)
PYTHON
}
check "its definition is a part of the public one" "$(grep -c ' = [0-9]*;' gateway/src/ingest/decode/sparkplug/payload.proto)" "$(fields 2>&1)"

# A node that is born, leaves a number out and is asked to be born again, and leaves.
python_node() {
    timeout 60 "$python" - "$mqtt_port" "$url/status" <<'PYTHON'
import queue, sys, urllib.request
import pysparkplug as spb
from pysparkplug import DataType, Metric, MessageType, QoS

now = spb.get_current_timestamp
def metric(name, datatype, value, **more):
    return Metric(timestamp=now(), name=name, datatype=datatype, value=value, **more)

asked = queue.Queue()
metrics = [
    metric("temperature", DataType.FLOAT, 21.5),
    metric("offset", DataType.INT8, -5),
    metric("count", DataType.UINT64, 2**40),
    metric("running", DataType.BOOLEAN, True),
    metric("serial", DataType.STRING, "A-17"),
    metric("Node Control/Rebirth", DataType.BOOLEAN, False),
]
node = spb.EdgeNode("py", "node", metrics, cmd_callback=lambda _, message: asked.put(message))
device = spb.Device("pump", [metric("speed", DataType.INT32, -1200)])
node.register(device)
node.connect("127.0.0.1", port=int(sys.argv[1]))
# It is born by a thread of its own.
while b"py:node:pump" not in urllib.request.urlopen(sys.argv[2]).read():
    pass
node.update([metric("temperature", DataType.FLOAT, 80.5), metric("offset", DataType.INT8, -128)])
node.update_device("pump", [metric("speed", DataType.INT32, 1500)])
print("published")
assert asked.empty(), asked.get()

# Behind the library's back a number is left out.
topic = spb.Topic(message_type=MessageType.NDATA, group_id="py", edge_node_id="node")
data = spb.NData(timestamp=now(), seq=77, metrics=(metric("count", DataType.UINT64, 7),))
node._client.publish(spb.Message(topic=topic, payload=data, qos=QoS.AT_MOST_ONCE, retain=False))
message = asked.get(timeout=20)
request = message.payload.metrics[0]
assert str(message.topic) == "spBv1.0/py/NCMD/node", message
assert (request.name, request.datatype, request.value) == ("Node Control/Rebirth", DataType.BOOLEAN, True), request
print("asked")
node.deregister("pump")
node.disconnect()
PYTHON
}
found="$(python_node 2>"$work/python" | paste -sd, || true)"
check "pysparkplug: it publishes, and is asked for its births" "published,asked" "$found$(cat "$work/python")"
eventually becomes statuses py 'py:node offline; py:node:pump offline' || true
check "pysparkplug: its numbers are readings" \
    "py/node/temperature 21.5; py/node/offset -5.0; py/node/count 1099511627776.0; py/node/running 1.0; \
py/node/pump/speed -1200.0; py/node/temperature 80.5; py/node/offset -128.0; py/node/pump/speed 1500.0; py/node/count 7.0" \
    "$(readings py)"
check "pysparkplug: its births and deaths are statuses" 'py:node offline; py:node:pump offline' "$(statuses py)"
check "pysparkplug: a rule sees them" 'py/node/temperature|80.5' \
    "$(sql "SELECT sensor_id, value FROM alerts WHERE sensor_id LIKE 'py/node/t%'")"

# A node with aliases that says something before it is born, and is born when it is asked to; is killed at the end, so that its will speaks.
node_node() {
    timeout 60 node - "$modules" "$mqtt_port" "$url/api/v1/rejects" <<'NODE'
const [modules, port, rejects] = process.argv.slice(2);
const sparkplug = require(`${modules}/sparkplug-client`);
const assert = require("node:assert");
const client = sparkplug.newClient({
    serverUrl: `mqtt://127.0.0.1:${port}`, username: "", password: "",
    groupId: "js", edgeNode: "node", clientId: "js-node", version: "spBv1.0",
});
const timestamp = () => Date.now();
const birth = () => {
    client.publishNodeBirth({ timestamp: timestamp(), metrics: [
        { name: "temperature", alias: 1, type: "Double", value: 20.25 },
        { name: "level", alias: 2, type: "Int16", value: -7 },
        { name: "name", alias: 3, type: "String", value: "boiler" },
        { name: "Node Control/Rebirth", type: "Boolean", value: false },
    ] });
    client.publishDeviceBirth("valve", { timestamp: timestamp(), metrics: [
        { name: "open", alias: 4, type: "Boolean", value: false },
        { name: "turns", alias: 5, type: "UInt32", value: 4000000000 },
    ] });
};
const data = () => client.publishNodeData({ timestamp: timestamp(), metrics: [
    { alias: 1, type: "Double", value: 55.5 },
    { alias: 2, type: "Int16", value: -32768 },
    { alias: 3, type: "String", value: "other" },
] });
client.once("birth", () => {
    // Not born yet: it has to be asked.
    client.seq = 9;
    data();
});
client.on("ncmd", (command) => {
    const [request] = command.metrics;
    assert.deepStrictEqual([request.name, request.type, request.value], ["Node Control/Rebirth", "Boolean", true]);
    console.log("asked");
    birth();
    data();
    client.publishDeviceData("valve", { timestamp: timestamp(), metrics: [{ alias: 4, type: "Boolean", value: true }] });
    client.publishDeviceData("valve", { timestamp: timestamp(), metrics: [] }, { compress: true });
    client.client.publish("js/end", "end", { qos: 1 }, async () => {
        console.log("published");
        const { items } = await (await fetch(rejects)).json();
        const early = items.find((item) => item.topic.endsWith("NDATA/node") && item.reason.includes("birth"));
        console.log((await fetch(`${rejects}/${early.id}/retry`, { method: "POST" })).status);
        process.kill(process.pid, "SIGKILL");
    });
});
NODE
}
found="$(node_node 2>"$work/node" | paste -sd, || true)"
check_contains "sparkplug-client: it is asked for its births, and publishes; what came before them can be read then" "asked,published,200" "$found$(cat "$work/node")"
eventually becomes statuses js 'js:node offline; js:node:valve offline' || true
check "sparkplug-client: its numbers are readings" \
    "js/node/temperature 20.25; js/node/level -7.0; js/node/valve/open 0.0; js/node/valve/turns 4000000000.0; \
js/node/temperature 55.5; js/node/level -32768.0; js/node/valve/open 1.0; \
js/node/temperature 55.5; js/node/level -32768.0" \
    "$(readings js)"
check "sparkplug-client: its will is the death of all it has" 'js:node offline; js:node:valve offline' "$(statuses js)"
check "sparkplug-client: what is compressed is rejected, and says why" 1 \
    "$(sql "SELECT count(*) FROM rejects WHERE topic LIKE '%/valve' AND reason LIKE '%compressed%'")"
check "nothing unexpected in its log" "" "$(grep -hE '"level":"(WARN|ERROR)"' "$work/log" || true)"

checked
