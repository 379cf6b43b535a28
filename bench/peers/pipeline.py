"""Forwards readings over 50 the plain way: paho-mqtt, SQLite, urllib. What the gateway's outage is held against.

Usage: pipeline.py BROKER_PORT CLOUD_URL DATABASE
"""

import http.client
import json
import sqlite3
import sys
import threading
import time
import urllib.request

import paho.mqtt.client as mqtt

BATCH = 1_000
LONGEST_PAUSE = 30
port, url, database = int(sys.argv[1]), sys.argv[2], sys.argv[3]


def connect():
    connection = sqlite3.connect(database, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS waiting (id INTEGER PRIMARY KEY, reading TEXT NOT NULL)")
    return connection


def post(readings):
    body = '{"readings":[' + ",".join(readings) + "]}"
    request = urllib.request.Request(url, body.encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10):
        pass


def forward():
    store, pause = connect(), 1
    while True:
        rows = store.execute("SELECT id, reading FROM waiting ORDER BY id LIMIT ?", (BATCH,)).fetchall()
        if not rows:
            time.sleep(0.1)
            continue
        try:
            post([reading for _, reading in rows])
        except (OSError, http.client.HTTPException) as error:
            print(f"the cloud is away: {error}", file=sys.stderr)
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            continue
        pause = 1
        with store:
            store.execute("DELETE FROM waiting WHERE id <= ?", (rows[-1][0],))


def on_connect(client, _data, _flags, _reason, _properties):
    client.subscribe("sensors/#", qos=1)


def on_message(_client, _data, message):
    # paho acks when this returns: the reading is on disk by then.
    reading = message.payload.decode()
    if json.loads(reading)["value"] > 50:
        with incoming:
            incoming.execute("INSERT INTO waiting (reading) VALUES (?)", (reading,))


incoming = connect()
threading.Thread(target=forward, daemon=True).start()
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="pipeline", clean_session=False)
client.on_connect = on_connect
client.on_message = on_message
client.connect("127.0.0.1", port)
client.loop_forever()
