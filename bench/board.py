#!/usr/bin/env python3
"""Size, memory and start of the binaries for boards: bench/board.py [FOLDER]

FOLDER (else `dist`) has what docker/build-binaries.sh has made. Those of other machines run under qemu-user-static, of which only the
pages of the binary are counted: it has others of its own, and code that it made. Each binary

- is let go from the system's memory, started, and looked at after five seconds,
- takes 100 readings a second from 100 clients for 20 s (`simulator`), all of which have to be acknowledged, and is looked at again,
- is started seven times on a store of ten million readings, which the first of them makes; so take x86_64 along.

Megabytes are of 1,000,000 bytes.
"""

import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGETS = {
    "x86_64-unknown-linux-musl": [],
    "aarch64-unknown-linux-musl": ["qemu-aarch64-static"],
    "armv7-unknown-linux-musleabihf": ["qemu-arm-static"],
}
STORED = 10_000_000
STARTS = 7


class Gateway:
    """A binary that serves, on a folder."""

    def __init__(self, command, folder):
        self.binary = command[-1]
        config = folder / "gateway.toml"
        config.write_text(
            '[mqtt]\nlisten = "127.0.0.1:0"\nwebsocket_listen = "127.0.0.1:0"\n'
            f'[http]\nlisten = "127.0.0.1:0"\n[store]\npath = "{folder}/gateway.db"\nmax_size = "8GiB"\n'
        )
        began = time.monotonic()
        self.process = subprocess.Popen(
            [*command, "--config", config], stderr=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"]}
        )
        for line in self.process.stderr:
            if found := re.search(r'transport="mqtt" address=(\S+)', line):
                self.broker = found.group(1)
            if 'transport="http"' in line:
                break
        self.took = time.monotonic() - began

    def resident(self):
        """Bytes of the binary's pages, and of all that is the process's own."""
        smaps = pathlib.Path(f"/proc/{self.process.pid}/smaps").read_text()
        parts = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", smaps, flags=re.M)
        number = lambda part, name: int(re.search(rf"^{name}:\s+(\d+)", part, re.M).group(1)) * 1024
        of_binary = [part for part in parts if part.split("\n", 1)[0].endswith(str(self.binary))]
        shown = sum(number(part, "Rss") - number(part, "Anonymous") for part in of_binary)
        own = sum(number(part, "Anonymous") for part in parts if part)
        return shown, own

    def take(self, *arguments):
        """Readings of a fleet of sensors: how many there were."""
        fleet = [ROOT / "target/release/simulator", "sensors", "--broker", self.broker, *arguments]
        said = subprocess.run(fleet, check=True, capture_output=True, text=True).stdout
        published, acked = re.findall(r"published (\d+), acked (\d+)", said)[-1]
        assert published == acked, said
        return int(acked)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate()


def let_go(path):
    with open(path) as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def mb(count):
    return f"{count / 1e6:.1f}"


def main():
    dist = pathlib.Path(sys.argv[1] if 1 < len(sys.argv) else ROOT / "dist").resolve()
    subprocess.run(["cargo", "build", "--quiet", "--release", "--locked", "-p", "simulator"], cwd=ROOT, check=True)
    print("| target | bytes | idle: its pages, MB | its own | with 100 clients: its pages | its own | start, ms |")
    print("|---|---:|---:|---:|---:|---:|---:|", flush=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "target") as work:
        stored = pathlib.Path(work, "stored")
        for target, emulator in TARGETS.items():
            binary = dist / f"edge-gateway-{target}"
            if not binary.exists():
                continue
            command = [*emulator, binary]
            let_go(binary)
            folder = pathlib.Path(tempfile.mkdtemp(dir=work))
            gateway = Gateway(command, folder)
            time.sleep(5)
            idle = gateway.resident()
            gateway.take("--count", "100", "--sensors-per-connection", "1", "--rate", "100", "--for", "20s")
            busy = gateway.resident()
            gateway.stop()
            if not stored.exists():
                stored.mkdir()
                gateway = Gateway(command, stored)
                count = 0
                while count < STORED:
                    count += gateway.take("--count", "1000", "--rate", "max", "--for", "20s")
                gateway.stop()
            starts = []
            for _ in range(STARTS):
                gateway = Gateway(command, stored)
                starts.append(gateway.took * 1000)
                gateway.stop()
            own = ["–", "–"] if emulator else [mb(idle[1]), mb(busy[1])]
            cells = [f"{binary.stat().st_size:,}", mb(idle[0]), own[0], mb(busy[0]), own[1], f"{statistics.median(starts):.0f}"]
            print(f"| `{target}` | {' | '.join(cells)} |", flush=True)


main()
