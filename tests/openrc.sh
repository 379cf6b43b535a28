#!/usr/bin/env bash
# The script for OpenRC, in a Debian with OpenRC: started, reloaded, killed, stopped: tests/openrc.sh FOLDER
# FOLDER has the binaries of docker/build-binaries.sh. Needs root, debootstrap and systemd-nspawn.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/debian.sh
dist=$(realpath "$1")

# Unpacked and not installed: it would take the place of the container's own init.
(
    mkdir "$work/packages" && cd "$work/packages"
    apt-get download -qq -o APT::Sandbox::User=root openrc librc1 libeinfo1 insserv
    for package in ./*.deb; do dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$root"; done
)
# What the system has to have before, and nobody here has to do.
printf '#!/sbin/openrc-run\nstart() { :; }\n' >"$root/etc/init.d/localmount"
chmod +x "$root/etc/init.d/localmount"
contain --rlimit=NOFILE=65536 --as-pid2 sleep infinity || { cat "$work/console"; exit 1; }
inside sh -c 'mkdir -p /run/openrc && cd /run/openrc && echo default >softlevel &&
    mkdir daemons exclusive failed hotplugged inactive options scheduled started starting stopping tmp wasinactive'

# As docs/install.md says, in Debian's words.
inside adduser --system --group --no-create-home --home /var/lib/edge-gateway --quiet edge-gateway
install -m 755 "$dist/edge-gateway-x86_64-unknown-linux-musl" "$root/usr/bin/edge-gateway"
install -m 755 docker/openrc/edge-gateway "$root/etc/init.d/"
inside install -d -o edge-gateway -g edge-gateway -m 750 /etc/edge-gateway
install -m 640 broker-config/gateway.toml "$root/etc/edge-gateway/"
inside chown edge-gateway:edge-gateway /etc/edge-gateway/gateway.toml

service() { inside rc-service edge-gateway "$@" 2>&1; }
values() { inside curl -sS http://127.0.0.1:8080/data 2>&1; }
serves() { [ "$(values)" = "$1" ]; }
process() { inside pidof edge-gateway; }
log() { cat "$root/var/log/edge-gateway.log"; }

check_contains "checkconfig" 'the configuration is fine' "$(service checkconfig || true)"
check_contains "it is added to a runlevel" 'added to runlevel default' "$(inside rc-update add edge-gateway default 2>&1)"
service start >"$work/said" || cat "$work/said"
eventually serves '{}' || { cat "$work/said"; log; exit 1; }
check_contains "it is started" 'started' "$(service status || true)"
check "it is not root" edge-gateway "$(inside stat -c %U "/proc/$(process)")"
check "its store is for itself alone" 'edge-gateway 750' "$(inside stat -c '%U %a' /var/lib/edge-gateway)"
check "so is its log" 'edge-gateway 640' "$(inside stat -c '%U %a' /var/log/edge-gateway.log)"
check "POST /data" '{"status":"success","message":"Data received!"}' \
    "$(inside curl -sS -H 'Content-Type: application/json' -d '{"id":"s1","value":80}' http://127.0.0.1:8080/data | tr -d '\n')"
before=$(process)
service reload >/dev/null || true
reloaded() { log | grep -q 'users, ACL and tokens are reloaded'; }
check "reload" yes "$(eventually reloaded && echo yes)"
check "it is the same process" "$before" "$(process)"
inside sh -c "kill -KILL $before"
is_another() { [ "$(process)" != "$before" ] && serves '{"s1":80.0}'; }
check "killed, it comes back with all it had" yes "$(eventually is_another && echo yes)"
service stop >/dev/null || true
check_contains "it is stopped" 'stopped' "$(service status || true)"
check_contains "in order" stopped "$(log | tail -1)"
echo 'colour = 1' >>"$root/etc/edge-gateway/gateway.toml"
check_contains "a fault of the configuration is told" 'unknown key' "$(service start || true)"
check "and nothing is started" '' "$(process || true)"
checked
