"""The gateway's job as tutorials do it, behind a broker: paho-mqtt, SQLite, requests. Better than most of them: what has come while a
commit ran is committed together, and the cloud gets batches.

Usage: tutorial.py BROKER_PORT CLOUD_URL DATABASE
"""

import json
import os
import queue
import signal
import sqlite3
import sys
import threading
import time

import paho.mqtt.client as mqtt
import requests

MOST = 1_000
port, url, database = int(sys.argv[1]), sys.argv[2], sys.argv[3]
arrived, forwarded = queue.Queue(), queue.Queue()


def all_of(waiting):
    """What waits, at least one and at most MOST."""
    taken = [waiting.get()]
    while len(taken) < MOST:
        try:
            taken.append(waiting.get_nowait())
        except queue.Empty:
            break
    return taken


def readings_of(message):
    payload = json.loads(message.payload)
    sensor = message.topic.rsplit("/", 1)[-1]
    for reading in payload if isinstance(payload, list) else [payload]:
        if isinstance(reading, (int, float)):
            reading = {"value": reading}
        yield {"sensor_id": sensor, **reading}


def store():
    connection = sqlite3.connect(database, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS readings (id INTEGER PRIMARY KEY, sensor_id TEXT, value REAL, ts REAL, seq INTEGER)"
    )
    connection.commit()
    while True:
        readings = [reading for message in all_of(arrived) for reading in readings_of(message)]
        with connection:
            connection.executemany(
                "INSERT INTO readings (sensor_id, value, ts, seq) VALUES (?, ?, ?, ?)",
                [(one["sensor_id"], one["value"], time.time(), one.get("seq")) for one in readings],
            )
        for one in readings:
            if one["value"] > 75:
                client.publish(f"alerts/{one['sensor_id']}", json.dumps(one), qos=1)
            if one["value"] > 50:
                forwarded.put(one)


def forward():
    session = requests.Session()
    while True:
        batch = all_of(forwarded)
        while True:
            try:
                session.post(url, json={"readings": batch}, timeout=10).raise_for_status()
                break
            except requests.RequestException:
                time.sleep(1)


def on_connect(client, _data, _flags, _reason, _properties):
    client.subscribe("sensors/#", qos=1)


def on_message(_client, _data, message):
    arrived.put(message)


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="tutorial", clean_session=False)
client.on_connect = on_connect
client.on_subscribe = lambda *_: print("listening", file=sys.stderr, flush=True)
client.on_message = on_message
for work in store, forward:
    threading.Thread(target=work, daemon=True).start()
client.connect("127.0.0.1", port)
client.loop_forever()
