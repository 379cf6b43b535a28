#!/usr/bin/env bash
# The gateway and real clients: mosquitto_pub and mosquitto_sub, paho-mqtt, MQTT.js, curl, sqlite3. `.ci/install` gets them.
# Prints a line for each check and exits with 1 if any failed.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/gateway.sh
python="${XDG_CACHE_HOME:-$HOME/.cache}/edge-gateway-clients/bin/python"
mqtt_module="${XDG_CACHE_HOME:-$HOME/.cache}/edge-gateway-clients-node/node_modules/mqtt"

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=clients \
    -addext subjectAltName=IP:127.0.0.1 -keyout "$work/server.key" -out "$work/server.crt" 2>"$work/openssl" ||
    { cat "$work/openssl"; exit 1; }
cat >"$work/gateway.toml" <<TOML
gateway_id = "clients"
[mqtt]
listen = "127.0.0.1:0"
websocket_listen = "127.0.0.1:0"
[mqtt.tls]
listen = "127.0.0.1:0"
websocket_listen = "127.0.0.1:0"
[http]
listen = "127.0.0.1:0"
[ingest]
readings = ["sensors/#", "étage/+"]
[ingest.formats]
"senml/json/+" = "senml-json"
"senml/cbor/+" = "senml-cbor"
[store]
path = "$work/gateway.db"
TOML
start

pub() { mosquitto_pub -h 127.0.0.1 -p "$mqtt_port" "$@"; }
# Line by line, so that it can be seen when the subscription stands.
sub() { exec stdbuf -oL mosquitto_sub -h 127.0.0.1 -p "$mqtt_port" -d -W 20 "$@"; }
# listen COUNT ARGUMENTS…: subscribes in the background, until COUNT messages came.
listen() {
    local count="$1"
    shift
    # Emptied here and not by the redirection alone, which may come after the first look for `Subscribed`.
    : >"$work/heard"
    sub -C "$count" -F "${format:-MSG %t %p q%q r%r}" "$@" >"$work/heard" 2>&1 &
    listener=$!
    eventually grep -q '^Subscribed' "$work/heard"
}
# Leaves in `found` what came. Not for a subshell, which cannot wait for it.
heard() {
    wait "$listener" 2>/dev/null || true
    found="$(sed -n 's/^MSG //p' "$work/heard")"
}

for version in 311 5; do
    v="mosquitto -V $version:"
    for qos in 0 1 2; do
        listen 1 -V "$version" -q 2 -t "plain/$version"
        pub -V "$version" -q "$qos" -t "plain/$version" -m "hello $qos"
        heard
        check "$v QoS $qos" "plain/$version hello $qos q$qos r0" "$found"

        listen 1 -V "$version" -q 2 -t 'sensors/#'
        pub -V "$version" -q "$qos" -t "sensors/m$version" -m "4$qos"
        heard
        check "$v a reading at QoS $qos" "sensors/m$version 4$qos q$qos r0" "$found"
    done
    check "$v the readings are stored" "40.0 41.0 42.0" \
        "$(sql "SELECT group_concat(value, ' ') FROM readings WHERE sensor_id = 'm$version'")"

    pub -V "$version" -q 1 -r -t "kept/$version" -m "kept"
    listen 1 -V "$version" -t "kept/+"
    heard
    check "$v a retained message" "kept/$version kept q0 r1" "$found"
    pub -V "$version" -q 1 -r -n -t "kept/$version"
    pub -V "$version" -q 1 -r -t "kept/end" -m "end"
    listen 1 -V "$version" -t "kept/#"
    heard
    check "$v an empty message clears it" "kept/end end q0 r1" "$found"
    pub -V "$version" -q 1 -r -n -t "kept/end"

    listen 2 -V "$version" -t "site/+/temp/#"
    for topic in site/a/hum site/a/temp site/temp site/b/temp/x; do
        pub -V "$version" -t "$topic" -m x
    done
    heard
    check "$v wildcards" $'site/a/temp x q0 r0\nsite/b/temp/x x q0 r0' "$found"

    for topic in étage/1 传感器/1; do
        listen 1 -V "$version" -q 1 -t "${topic%/*}/+"
        pub -V "$version" -q 1 -t "$topic" -m 21.5
        heard
        check "$v topic $topic" "$topic 21.5 q1 r0" "$found"
    done

    for topic in "wills/d$version" "status/d$version"; do
        listen 1 -V "$version" -t never --will-topic "$topic" --will-payload offline --will-qos 1
        mortal="$listener"
        listen 1 -V "$version" -q 1 -t "$topic"
        kill -KILL "$mortal"
        heard
        check "$v a will on $topic" "$topic offline q1 r0" "$found"
    done
    check_contains "$v a will is a device's status" "\"d$version\":\"offline\"" "$(curl -sS "$url/status")"

    listen 1 -V "$version" -q 1 -R -t 'alerts/#'
    pub -V "$version" -q 1 -t "sensors/hot$version" -m '{"value":80.5,"unit":"C"}'
    heard
    check_contains "$v an alert arrives on its topic" "alerts/hot$version {" "$found"
    check_contains "$v an alert says why" '"rule":"high","state":"raised"' "$found"
    check_contains "$v an alert has the value" '"value":80.5' "$found"
    check_contains "$v an alert has QoS 1" ' q1 r0' "$found"

    seq 1 200 | pub -V "$version" -q 1 -t "sensors/many$version" -l
    check "$v 200 readings from one client" 200 \
        "$(sql "SELECT count(*) FROM readings WHERE sensor_id = 'many$version'")"
done

format='MSG %p %C %R %P' listen 1 -V 5 -t props
pub -V 5 -t props -m x -D publish user-property unit C -D publish content-type text/plain \
    -D publish response-topic answers
heard
check "mosquitto -V 5: properties travel" "x text/plain answers unit:C" "$found"
check_contains "mosquitto -V 5: alerts/ is not for clients" "Not authorized" \
    "$(pub -V 5 -q 1 -t alerts/fake -m x 2>&1 || true)"

check_contains "mosquitto -V 31: too old, and told so" "unacceptable protocol version" \
    "$(pub -V 31 -t plain/a -m x 2>&1 || true)"

# Sessions outlive the connection and the gateway.
keep=([311]='-c' [5]='-c -x 3600')
for version in 311 5; do
    # shellcheck disable=SC2086
    mosquitto_sub -h 127.0.0.1 -p "$mqtt_port" -V "$version" ${keep[$version]} -i "keeper-$version" -q 2 \
        -t "missed/$version" -E
    for qos in 0 1 2; do pub -V "$version" -q "$qos" -t "missed/$version" -m "m$qos"; done
    pub -V "$version" -q 1 -r -t "retained/$version" -m "still here"
done
cp "$work/log" "$work/log.killed"
kill -9 "$gateway" && wait "$gateway" 2>/dev/null || true
start
for version in 311 5; do
    # shellcheck disable=SC2086
    listen 2 -V "$version" ${keep[$version]} -i "keeper-$version" -q 2 -t "missed/$version"
    heard
    check "mosquitto -V $version: what came while it was away, over a SIGKILL" \
        "missed/$version m1 q1 r0 missed/$version m2 q2 r0" "$(echo $found)"
    listen 1 -V "$version" -t "retained/$version"
    heard
    check "mosquitto -V $version: a retained message, over a SIGKILL" "retained/$version still here q0 r1" "$found"
done

# paho VERSION: prints a line for each thing that worked.
paho() {
    "$python" - "$mqtt_port" "$1" <<'PYTHON'
import queue, socket, sys
import paho.mqtt.client as mqtt
from paho.mqtt.properties import Properties
from paho.mqtt.packettypes import PacketTypes

port, version = int(sys.argv[1]), sys.argv[2]
protocol = mqtt.MQTTv5 if version == "5" else mqtt.MQTTv311
messages, subscribed = queue.Queue(), queue.Queue()

def client(name, will=None):
    made = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"{name}-{version}", protocol=protocol)
    connected = queue.Queue()
    made.on_connect = lambda c, u, flags, reason, p: connected.put((flags.session_present, reason.is_failure))
    made.on_message = lambda c, u, message: messages.put(message)
    made.on_subscribe = lambda c, u, mid, reasons, p: subscribed.put([r.value for r in reasons])
    if will:
        made.will_set(*will)
    made.connect("127.0.0.1", port)
    made.loop_start()
    assert connected.get(timeout=20) == (False, False)
    return made

subscriber = client("subscriber")
subscriber.subscribe([("paho/#", 2), ("sensors/paho", 2)])
assert subscribed.get(timeout=20) == [2, 2]
print("subscribe")
publisher = client("publisher")
for qos in (0, 1, 2):
    for topic in ("paho/a", "sensors/paho"):
        properties = None
        if version == "5":
            properties = Properties(PacketTypes.PUBLISH)
            properties.UserProperty = [("unit", "°C")]
        sent = publisher.publish(topic, f"{20 + qos}", qos, properties=properties)
        sent.wait_for_publish(20)
        assert sent.is_published()
        got = messages.get(timeout=20)
        assert (got.topic, got.payload, got.qos, got.retain) == (topic, f"{20 + qos}".encode(), qos, False), got
        if version == "5":
            assert got.properties.UserProperty == [("unit", "°C")], got.properties
    print(f"QoS {qos}")
many = [publisher.publish("sensors/bulk", f"{n}", 2) for n in range(300)]
for sent in many:
    sent.wait_for_publish(20)
print("300 in flight")
mortal = client("mortal", ("paho/will", "gone", 1, False))
mortal.socket().shutdown(socket.SHUT_RDWR)
got = messages.get(timeout=20)
assert (got.topic, got.payload, got.qos) == ("paho/will", b"gone", 1), got
mortal.loop_stop()
print("will")
polite = client("polite", ("paho/will", "not due", 1, False))
polite.disconnect()
polite.loop_stop()
publisher.publish("paho/end", "end", 1).wait_for_publish(20)
assert messages.get(timeout=20).topic == "paho/end"
print("goodbye")
PYTHON
}
for version in 311 5; do
    found="$(paho "$version" 2>"$work/paho" | paste -sd, || true)"
    check "paho $version" "subscribe,QoS 0,QoS 1,QoS 2,300 in flight,will,goodbye" "$found$(cat "$work/paho")"
done
# senml FORMAT: what encoders of others make of a pack.
senml() {
    "$python" - "$1" <<'PYTHON' >"$work/pack"
import json, sys
import cbor2
from senml.senml import SenMLDocument, SenMLMeasurement
base = SenMLMeasurement(name=f"urn:dev:{sys.argv[1]}:", time=1764000000, unit="Cel", value=20)
pack = SenMLDocument([
    SenMLMeasurement(name="in", value=1.5),
    SenMLMeasurement(name="out", value=-24.25, time=-5),
    SenMLMeasurement(name="door", value=True),
    SenMLMeasurement(name="label", value="north"),
], base=base).to_json()
labels = {"bver": -1, "bn": -2, "bt": -3, "bu": -4, "bv": -5, "n": 0, "u": 1, "v": 2, "vs": 3, "vb": 4, "t": 6}
if sys.argv[1] == "json":
    sys.stdout.write(json.dumps(pack))
else:
    packed = [{labels[name]: value for name, value in record.items()} for record in pack]
    sys.stdout.buffer.write(cbor2.dumps(packed, canonical=True))
PYTHON
    pub -q 1 -t "senml/$1/board" -f "$work/pack"
    sql "SELECT group_concat(substr(sensor_id, 14) || ' ' || value || ' ' || (ts - 1764000000000) || attributes, '; ')
        FROM (SELECT * FROM readings WHERE sensor_id LIKE 'urn:dev:$1:%' ORDER BY id)"
}
for format in json cbor; do
    check "senml-$format of others" \
        'in 21.5 0{"unit":"Cel"}; out -4.25 -5000{"unit":"Cel"}; door 1.0 0{"unit":"Cel"}' \
        "$(senml "$format")"
done
check "senml: texts are rejected alone" 2 \
    "$(sql "SELECT count(*) FROM rejects WHERE topic LIKE 'senml/%' AND reason LIKE '%value%'")"
check "paho: all readings are stored" 600 "$(sql "SELECT count(*) FROM readings WHERE sensor_id = 'bulk'")"

# mqtt_js URL VERSION: prints a line for each thing that worked.
mqtt_js() {
    timeout 60 node - "$mqtt_module" "$1" "$2" "$work/server.crt" <<'NODE'
const [module, url, version, ca] = process.argv.slice(2);
const mqtt = require(module);
const assert = require("node:assert");
const protocolVersion = version === "5" ? 5 : 4;
const open = (name) =>
    mqtt.connectAsync(url, {
        clientId: `${name}-${version}`,
        protocolVersion,
        ca: require("node:fs").readFileSync(ca),
        reconnectPeriod: 0,
        connectTimeout: 20000,
    });

async function main() {
    const subscriber = await open("js-subscriber");
    const messages = [];
    let heard = () => {};
    subscriber.on("message", (topic, payload, packet) => heard(messages.push({ topic, payload, packet })));
    const next = async () => {
        while (!messages.length) await new Promise((resolve) => (heard = resolve));
        return messages.shift();
    };
    const granted = await subscriber.subscribeAsync(["js/#", "sensors/js"], { qos: 2 });
    assert.deepStrictEqual(granted.map((one) => one.qos), [2, 2]);
    console.log("subscribe");
    const publisher = await open("js-publisher");
    for (const qos of [0, 1, 2]) {
        for (const topic of ["js/a", "sensors/js"]) {
            const properties = protocolVersion === 5 ? { userProperties: { unit: "°C" } } : undefined;
            await publisher.publishAsync(topic, `${20 + qos}`, { qos, properties });
            const got = await next();
            assert.deepStrictEqual([got.topic, `${got.payload}`, got.packet.qos], [topic, `${20 + qos}`, qos]);
            if (properties) assert.strictEqual(got.packet.properties.userProperties.unit, "°C");
        }
        console.log(`QoS ${qos}`);
    }
    const picture = Buffer.alloc(200000, "x");
    await publisher.publishAsync("js/picture", picture, { qos: 1 });
    assert.ok(picture.equals((await next()).payload));
    console.log("200 kB");
    const many = [];
    for (let n = 0; n < 300; n++) many.push(publisher.publishAsync("sensors/js-bulk", `${n}`, { qos: 2 }));
    await Promise.all(many);
    console.log("300 in flight");
    await publisher.endAsync();
    await subscriber.endAsync();
    console.log("goodbye");
}
main().catch((error) => {
    console.log(error);
    process.exit(1);
});
NODE
}
for transport in ws wss; do
    for version in 311 5; do
        found="$(mqtt_js "$transport://$(address "$transport")/mqtt" "$version" 2>"$work/js" | paste -sd, || true)"
        check "MQTT.js $version over $transport" \
            "subscribe,QoS 0,QoS 1,QoS 2,200 kB,300 in flight,goodbye" "$found$(cat "$work/js")"
    done
done
check "MQTT.js: all readings are stored" 1200 \
    "$(sql "SELECT count(*) FROM readings WHERE sensor_id = 'js-bulk'")"
check "curl: a page from elsewhere may not open a WebSocket" 403 \
    "$(curl -sS -o /dev/null -w '%{http_code}' -H 'Connection: Upgrade' -H 'Upgrade: websocket' \
        -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' \
        -H 'Sec-WebSocket-Protocol: mqtt' -H 'Origin: https://elsewhere.example' "http://$(address ws)/mqtt")"

json=(-H 'content-type: application/json')
check "curl: POST /data" '{"status":"success","message":"Data received!"} 201' \
    "$(curl -sS -w ' %{http_code}' "${json[@]}" -d '{"id":"web","value":80}' "$url/data")"
check_contains "curl: GET /data" '"web":80.0' "$(curl -sS "$url/data")"
check "curl: POST /status" '{"status":"success"} 200' \
    "$(curl -sS -w ' %{http_code}' -X POST "$url/status?device_id=web&status=online")"
check_contains "curl: GET /status" '"web":"online"' "$(curl -sS "$url/status")"
check "curl: a fault is a problem document" 'application/problem+json 400' \
    "$(curl -sS -o /dev/null -w '%{content_type} %{http_code}' "${json[@]}" -d '{' "$url/data")"

# In a terminal of `script`, from `bsdutils`: what is shown, and that the screen is given back.
if [ -n "${EMULATED:-}" ]; then
    printf 'skip  top: qemu-user has not the call that asks how a terminal is set (TCGETS2)\n'
else
    mkfifo "$work/keys"
    TERM=xterm EDGE_GATEWAY_HTTP__LISTEN="$(address http)" script -qefc "stty cols 80 rows 24; '$binary' top" "$work/screen" \
        <"$work/keys" >/dev/null &
    top=$!
    exec 3>"$work/keys"
    shown=no
    eventually grep -q web "$work/screen" && shown=yes
    check "top: the sensors are shown" yes "$shown"
    printf q >&3
    code=0
    wait "$top" || code=$?
    exec 3>&-
    check "top: q ends it with 0" 0 "$code"
    check "top: the screen is given back" 1 "$(grep -c $'\e\[?1049l' "$work/screen")"
fi

check "sqlite3: readings" 'web|80.0|["high"]|{}' \
    "$(sql "SELECT sensor_id, value, tags, attributes FROM readings WHERE sensor_id = 'web'")"
check "sqlite3: alerts" 'high|raised|web|80.0' \
    "$(sql "SELECT rule, state, sensor_id, value FROM alerts WHERE sensor_id = 'web'")"
check "sqlite3: statuses" 'web|online' "$(sql "SELECT device_id, status FROM statuses WHERE device_id = 'web'")"
check "sqlite3: outbox" 0 \
    "$(sql "SELECT count(*) FROM readings WHERE (value > 50) <> (id IN (SELECT reading_id FROM outbox))")"
check "sqlite3: rejects and dead letters" '2|0' \
    "$(sql 'SELECT (SELECT count(*) FROM rejects), (SELECT count(*) FROM dead_letters)')"
check "sqlite3: the file is sound" ok "$(sql 'PRAGMA integrity_check')"

kill "$gateway"
code=0
wait "$gateway" || code=$?
gateway=
check "the gateway stops with 0" 0 "$code"
# One publish to alerts/ was refused on purpose.
check "nothing unexpected in its log" '' \
    "$(grep -hE '"level":"(WARN|ERROR)"' "$work/log" "$work/log.killed" | grep -v 'publish refused' || true)"

checked
