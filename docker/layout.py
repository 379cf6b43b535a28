#!/usr/bin/env python3
"""Makes gateway/layout.ld: which code the linker puts behind the rest, because a gateway that serves does not run it. Code is read from
the card and kept in memory by 64 KiB and more at a time, so what runs had better stand together.

Usage: docker/layout.py BINARY, where BINARY is a static x86_64 one with its symbols:

    CARGO_PROFILE_BOARD_STRIP=false docker/build-binaries.sh x86_64-unknown-linux-musl
    docker/layout.py dist/edge-gateway-x86_64-unknown-linux-musl

It is served under qemu-x86_64-static, which lists the code that it runs, with publishes by mosquitto_pub, requests and an uplink; needs
nm as well. The names hold for all targets. A name that is gone does no harm, and one that is new stays with what runs: so it need
not be made again for each change, only when what is resident (docs/measurements.md, "Board") has grown.
"""

import bisect
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

MQTT, HTTP = 18931, 18932
# Code of one pattern, in bytes: those that bring less would make the list long and the binary no smaller in memory.
LEAST = 1000
TARGET = Path(__file__).parent.parent / "gateway" / "layout.ld"


class Cloud(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def ask(path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{HTTP}{path}", body and json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    return urllib.request.urlopen(request, timeout=20).read()


def publish(topic, payload):
    subprocess.run(["mosquitto_pub", "-p", str(MQTT), "-q", "1", "-t", topic, "-m", json.dumps(payload)], check=True)


def use():
    """What a gateway does all day."""
    for value in [20, 60, 80, 90, 20]:
        publish(f"sensors/s{value}", {"sensor_id": f"s{value}", "value": value})
    subscriber = subprocess.Popen(
        ["mosquitto_sub", "-p", str(MQTT), "-t", "alerts/#", "-C", "1", "-W", "20"], stdout=subprocess.DEVNULL
    )
    time.sleep(1)
    publish("sensors/s60", 99)
    subscriber.wait()
    ask("/data", {"sensor_id": "s1", "value": 76})
    ask("/status", {"device_id": "d1", "status": "online"})
    for path in ["/data", "/status", "/metrics", "/healthz", "/readyz"]:
        ask(path)


def run(binary, folder):
    """The addresses of the code that ran."""
    cloud = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
    threading.Thread(target=cloud.serve_forever, daemon=True).start()
    config = folder / "gateway.toml"
    config.write_text(
        f'[mqtt]\nlisten = "127.0.0.1:{MQTT}"\nwebsocket_listen = ""\n[http]\nlisten = "127.0.0.1:{HTTP}"\n'
        f'[store]\npath = "{folder}/gateway.db"\n[cloud]\nurl = "http://127.0.0.1:{cloud.server_port}/"\n'
    )
    log = folder / "code.log"
    emulator = ["qemu-x86_64-static", "-d", "in_asm", "-D", log]
    gateway = subprocess.Popen([*emulator, binary, "--config", config], stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                ask("/readyz")
                break
            except OSError:
                time.sleep(0.1)
        use()
        # Up to the next of what it does now and then.
        time.sleep(12)
    finally:
        gateway.send_signal(signal.SIGTERM)
        if gateway.wait(60) != 0:
            sys.exit("the gateway did not end well")
    with open(log, errors="replace") as lines:
        return {int(line[2:].split(":")[0], 16) for line in lines if line.startswith("0x")}


def functions(binary):
    """Address and name of each, in order."""
    lines = subprocess.run(["nm", "-n", binary], capture_output=True, text=True, check=True).stdout.splitlines()
    fields = [line.split() for line in lines]
    return [(int(each[0], 16), each[2]) for each in fields if len(each) == 3 and each[1] in "tTwW"]


def general(name):
    """Without the hashes of crates, which each build may change."""
    name = re.sub(r"\.llvm\.\d+$", "", name)
    return re.sub(r"Cs([0-9A-Za-z]{9,13})_", lambda found: f"Cs{'?' * len(found[1])}_", name)


def cold_prefixes(names, depth=0):
    """The shortest prefixes that only names of code have that did not run, with the bytes of that code; `names` are sorted."""
    if not any(ran for _, _, ran in names):
        yield names[0][0][:depth], sum(size for _, size, _ in names)
        return
    begin = 0
    while begin < len(names):
        if len(names[begin][0]) <= depth:
            begin += 1
            continue
        end = begin + 1
        while end < len(names) and names[end][0][depth] == names[begin][0][depth]:
            end += 1
        yield from cold_prefixes(names[begin:end], depth + 1)
        begin = end


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.setrecursionlimit(20_000)
    binary = sys.argv[1]
    known = functions(binary)
    addresses = sorted({address for address, _ in known})
    with tempfile.TemporaryDirectory() as folder:
        ran = run(os.path.abspath(binary), Path(folder))
    ran = {addresses[bisect.bisect_right(addresses, each) - 1] for each in ran if addresses[0] <= each}
    sizes = dict(zip(addresses, [after - address for address, after in zip(addresses, addresses[1:])] + [0]))
    names = {}
    for address, name in known:
        size, did_run = names.get(general(name), (0, False))
        # The second name of the same code adds nothing.
        names[general(name)] = (size + sizes.pop(address, 0), did_run or address in ran)
    rows = sorted((name, size, did_run) for name, (size, did_run) in names.items())
    found = sorted((prefix, size) for prefix, size in cold_prefixes(rows) if LEAST <= size)
    lines = [f"*(.text.{prefix}*)" for prefix, _ in found]
    TARGET.write_text(
        "/* Made by docker/layout.py: what a gateway that serves does not run stands behind the rest. */\n"
        "SECTIONS { .text.cold : {\n" + "\n".join(lines) + "\n} } INSERT AFTER .text;\n"
    )
    total, cold = sum(size for _, size, _ in rows), sum(size for _, size in found)
    print(f"{len(found)} patterns: {cold >> 10} of {total >> 10} KiB of code stand behind the rest")


main()
