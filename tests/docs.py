#!/usr/bin/env python3
"""Runs every command and checks every piece of configuration that README.md and docs/ show.

Blocks marked `sh` are run as they stand, in order, in a folder of their own beside a gateway; only what cannot be the same here
is put in its place: ports, host names, a token, the name of a file that the reader brings. `cargo test` is what runs this; a
container engine is not asked for, but the files that it is given have to be there. Blocks marked `toml` go through
`edge-gateway check`. Prints a line for each block, exits with 1 if any failed. The debug binary has to be built.
"""

import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 60


def blocks():
    """Every fenced block of these kinds: where it stands, its kind, its text."""
    for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]:
        fence = re.compile(r"^```(sh|toml)\n(.*?)^```", re.M | re.S)
        text = path.read_text()
        for found in fence.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield f"{path.relative_to(ROOT)}:{line}", found.group(1), found.group(2)


# Each stands for a command of the same name: `$BINARY`, `$HTTP`, `$MQTT`, `$TOKEN` and `$GATEWAY` are in the environment.
STAND_INS = {
    "cargo": """
        case "$1" in
            test) exit 0 ;;
            run) shift; while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done; shift || true ;;
        esac
        # The gateway runs already.
        if [ $# -eq 0 ]; then exec sleep 60; fi
        if [ "$1" = demo ]; then exec "$BINARY" demo --for 6s; fi
        exec "$BINARY" "$@"
    """,
    "edge-gateway": """
        if [ "$1 ${2:-}" != "token add" ]; then exec "$BINARY" --config gateway.toml "$@"; fi
        made="$("$BINARY" --config gateway.toml "$@")"
        printf '%s\\n' "$made"
        # As the program tells its reader to; until the gateway has read it.
        /bin/kill -HUP "$GATEWAY"
        for _ in $(seq 200); do
            if "$REAL_curl" -sf -o /dev/null -H "Authorization: Bearer $made" "http://$HTTP/data"; then exit 0; fi
            sleep 0.05
        done
        exit 1
    """,
    "mosquitto_pub": 'exec "$REAL_mosquitto_pub" -p "$MQTT" "$@"',
    "mosquitto_sub": 'exec "$REAL_mosquitto_sub" -p "$MQTT" "$@"',
    "curl": """
        words=()
        for word in "$@"; do
            word="${word//127.0.0.1:8080/$HTTP}"
            word="${word//edge-1.local:8080/$HTTP}"
            word="${word//gateway.example.com:8080/$HTTP}"
            words+=("${word//egt_…/$TOKEN}")
        done
        exec "$REAL_curl" -sS --fail-with-body "${words[@]}"
    """,
    "docker": """
        cd "$ROOT"
        while [ $# -gt 0 ]; do
            if [ "$1" = -f ]; then [ -f "$2" ] || { echo "there is no $2" >&2; exit 1; }; shift; fi
            shift
        done
    """,
    "kill": 'exec true',
}

GATEWAY = """
gateway_id = "docs"
rules_file = "rules-file.toml"
[mqtt]
listen = "127.0.0.1:0"
websocket_listen = ""
[http]
listen = "127.0.0.1:0"
token_file = "broker-config/tokens"
"""

RULES = '[[rule]]\nname = "high"\nwhen = "value > 75"\nactions = ["alert"]\n'


def prepare(folder: Path, binary: Path):
    """What a reader has who followed the text: a configuration, rules, certificates, a token."""
    (folder / "gateway.toml").write_text(GATEWAY)
    (folder / "broker-config").mkdir()
    for name in ["rules.toml", "new.toml"]:
        (folder / name).write_text(RULES)
    for name in ["tokens", "users"]:
        (folder / name).write_text("")
    (folder / "acl.toml").write_text((ROOT / "broker-config/acl.toml").read_text())
    (folder / "token").write_text("secret\n")
    for name, is_ca in [("edge", "TRUE"), ("server", "FALSE")]:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=docs", "-addext", f"basicConstraints=critical,CA:{is_ca}", "-addext", "subjectAltName=DNS:docs",
             "-keyout", f"{name}.key", "-out", f"{name}.crt"],
            cwd=folder, check=True, capture_output=True)
    (folder / "ca.pem").write_text((folder / "edge.crt").read_text())
    made = subprocess.run(
        [binary, "token", "add", "docs", "--role", "admin", "--token-file", "broker-config/tokens"],
        cwd=folder, check=True, capture_output=True, text=True)
    stand_ins = folder / "stand-ins"
    stand_ins.mkdir()
    for name, text in STAND_INS.items():
        path = stand_ins / name
        path.write_text("#!/usr/bin/env bash\nset -euo pipefail\n" + text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return made.stdout.strip()


def start(folder: Path, binary: Path):
    """A gateway, with the addresses that it logs."""
    log = folder / "log"
    with log.open("w") as out:
        gateway = subprocess.Popen(
            [binary, "--config", "gateway.toml", "--log-format", "json"], cwd=folder, stderr=out)
    until = time.monotonic() + LIMIT
    while time.monotonic() < until:
        lines = [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        found = {line.get("transport"): line.get("address") for line in lines}
        if {"mqtt", "http"} <= found.keys():
            return gateway, found
        time.sleep(0.05)
    sys.exit(f"the gateway did not start: {log.read_text()}")


def run(block: str, folder: Path, environment):
    """Runs a block; what it leaves in the background ends with it."""
    script = "set -euo pipefail\ntrap 'pkill -P $$ || true' EXIT\n" + block
    ran = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT,
        start_new_session=True)
    return ran.returncode == 0, ran.stdout + ran.stderr


def check(block: str, folder: Path, binary: Path):
    """Whether a piece of configuration is as a gateway would take it."""
    (folder / "piece.toml").write_text(block)
    ran = subprocess.run(
        [binary, "check", "--config", "piece.toml"], cwd=folder, capture_output=True, text=True, timeout=LIMIT)
    return ran.returncode == 0, ran.stdout + ran.stderr


def main():
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    binary = Path(target, "debug", "edge-gateway").resolve()
    failed = count = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        token = prepare(folder, binary)
        gateway, addresses = start(folder, binary)
        path = os.environ["PATH"]
        environment = {
            **os.environ,
            "PATH": f"{folder / 'stand-ins'}:{path}",
            "BINARY": str(binary), "ROOT": str(ROOT), "TOKEN": token,
            "ADMIN": f"Authorization: Bearer {token}", "GATEWAY": str(gateway.pid),
            "HTTP": addresses["http"], "MQTT": addresses["mqtt"].rsplit(":", 1)[1],
        }
        for command in ["mosquitto_pub", "mosquitto_sub", "curl"]:
            environment[f"REAL_{command}"] = subprocess.run(
                ["which", command], check=True, capture_output=True, text=True).stdout.strip()
        try:
            for place, kind, block in blocks():
                count += 1
                fine, said = check(block, folder, binary) if kind == "toml" else run(block, folder, environment)
                print(f"{'ok   ' if fine else 'FAIL '} {place}")
                if not fine:
                    failed += 1
                    print(block + "\n" + said)
        finally:
            gateway.terminate()
            gateway.wait(LIMIT)
    print(f"{count - failed} passed, {failed} failed")
    sys.exit(1 if failed or count < 8 else 0)


if __name__ == "__main__":
    main()
