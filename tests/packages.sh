#!/usr/bin/env bash
# The Debian packages, in a Debian that is booted for them: installed, served from, upgraded, removed, purged: tests/packages.sh FOLDER
# FOLDER has the packages of docker/build-debs.sh. Needs root, debootstrap and systemd-nspawn.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/debian.sh
dist=$(realpath "$1")

cp "$dist"/*.deb "$root/root/"
contain --boot
inside systemctl is-system-running --wait >/dev/null 2>&1 || eventually inside systemctl is-active multi-user.target ||
    { cat "$work/console"; exit 1; }

state() { inside systemctl is-active edge-gateway 2>&1 || true; }
is_active() { [ "$(state)" = active ]; }
property() { inside systemctl show -p "$1" --value edge-gateway; }
values() { inside curl -sS http://127.0.0.1:8080/data; }
post() { inside curl -sS -H 'Content-Type: application/json' -d "$1" http://127.0.0.1:8080/data | tr -d '\n'; }
gateway() { inside edge-gateway --config /etc/edge-gateway/gateway.toml "$@"; }
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
deb="edge-gateway_${version}-1_amd64.deb"

said=$(inside dpkg -i "$deb" 2>&1) || true
check "it installs" 'install ok installed' "$(inside dpkg-query -W -f '${Status}' edge-gateway)"
eventually is_active || { printf '%s\n' "$said"; inside journalctl -u edge-gateway --no-pager; exit 1; }
check "the service is active when it serves" "notify active running" \
    "$(property Type) $(property ActiveState) $(property SubState)"
check "it starts at boot" enabled "$(inside systemctl is-enabled edge-gateway)"
check "it says how it is" 'Serves 0 clients; 0 readings since the start, 0 wait for the cloud' "$(property StatusText)"
check "POST /data" '{"status":"success","message":"Data received!"}' "$(post '{"id":"s1","value":80}')"
check "GET /data" '{"s1":80.0}' "$(values)"
check "it is not root" edge-gateway "$(inside stat -c %U "/proc/$(property MainPID)")"
check "its store is where the package puts it, for itself alone" 'edge-gateway 750' \
    "$(inside stat -c '%U %a' /var/lib/edge-gateway)"
check "its configuration is not for everybody" 'edge-gateway 750' "$(inside stat -c '%U %a' /etc/edge-gateway)"
check "nothing unexpected in its log" '' \
    "$(inside journalctl -u edge-gateway --no-pager -o cat | grep -E 'WARN|ERROR' | grep -v 'the file system under the store is a risk' || true)"
exposure=$(inside systemd-analyze security --no-pager edge-gateway | sed -n 's/.*Overall exposure level for edge-gateway.service: \([0-9.]*\).*/\1/p')
check "systemd-analyze security finds little ($exposure)" yes "$(awk -v found="$exposure" 'BEGIN { print found <= 2 ? "yes" : "no" }')"

# What people do as root is for the gateway to read.
inside sed -i 's|^users_file = ""|users_file = "users"|; s|^token_file = ""|token_file = "tokens"|' /etc/edge-gateway/gateway.toml
inside sh -c 'umask 077; echo "a long password" >/root/password'
gateway user add ann --password-file /root/password >/dev/null
token=$(gateway token add screen --role read 2>/dev/null | grep -o 'egt_[A-Za-z0-9_-]*' | head -1)
check "users that root adds belong to the gateway" 'edge-gateway 600' "$(inside stat -c '%U %a' /etc/edge-gateway/users)"
inside systemctl restart edge-gateway
check "it starts with them" active "$(state)"
check "and knows the token" '{"s1":80.0}' "$(inside curl -sS -H "Authorization: Bearer $token" http://127.0.0.1:8080/data)"
gateway token add other --role read >/dev/null 2>&1
inside systemctl reload edge-gateway || true
check "reload" yes "$(inside journalctl -u edge-gateway --no-pager -o cat | grep -q 'users, ACL and tokens are reloaded' && echo yes)"
check "backup by root, beside it" 0 "$(gateway backup /root/backup.db >/dev/null 2>&1; echo $?)"
post '{"id":"s1","value":81}' >/dev/null
inside systemctl stop edge-gateway
check "it ends in order" 'success 0' "$(property Result) $(property ExecMainStatus)"
check "restore by root" 0 "$(gateway restore /root/backup.db >/dev/null 2>&1; echo $?)"
check "store check by root" 0 "$(gateway store check >/dev/null 2>&1; echo $?)"
inside systemctl start edge-gateway
check "it starts with what root restored" '{"s1":80.0}' "$(values)"
check "and writes to it" '{"status":"success","message":"Data received!"}' "$(post '{"id":"s2","value":1}')"

# Nobody is there to help.
before=$(property MainPID)
inside sh -c "kill -KILL $before"
is_another() { is_active && [ "$(property MainPID)" != "$before" ]; }
eventually is_another
check "killed, it comes back with all it had" '{"s1":80.0,"s2":1.0}' "$(values)"
inside sh -c 'cp /etc/edge-gateway/gateway.toml /root/good.toml; echo "colour = 1" >>/etc/edge-gateway/gateway.toml'
inside systemctl restart edge-gateway 2>/dev/null || true
check "a fault of the configuration ends it for good" 'exit-code 64 failed' \
    "$(property Result) $(property ExecMainStatus) $(property SubState)"
check_contains "and is told" 'unknown key' "$(inside journalctl -u edge-gateway --no-pager -o cat -n 20)"
inside sh -c 'cat /root/good.toml >/etc/edge-gateway/gateway.toml'
inside systemctl start edge-gateway

# The same again under a newer number.
before=$(property MainPID)
mkdir "$work/newer"
dpkg-deb -R "$dist/$deb" "$work/newer"
sed -i "s/^Version: .*/Version: $version-2/" "$work/newer/DEBIAN/control"
dpkg-deb --root-owner-group -b "$work/newer" "$root/root/newer.deb" >/dev/null
inside dpkg -i newer.deb >/dev/null 2>&1
eventually is_another
check "an upgrade starts the new one" "$version-2" "$(inside dpkg-query -W -f '${Version}' edge-gateway)"
check "it keeps the data" '{"s1":80.0,"s2":1.0}' "$(values)"
check "and the configuration" 'users_file = "users"' "$(inside grep ^users_file /etc/edge-gateway/gateway.toml)"

# systemd holds the ports.
inside systemctl stop edge-gateway
inside cp /usr/share/doc/edge-gateway/examples/edge-gateway.socket /etc/systemd/system/
inside systemctl daemon-reload
inside systemctl start edge-gateway.socket
check "what comes before it serves waits for it" '{"s1":80.0,"s2":1.0}' "$(values)"
check "it was started by that" active "$(state)"
inside sed -i 's|^listen = "127.0.0.1:8080"|listen = "127.0.0.1:8090"|' /etc/edge-gateway/gateway.toml
inside systemctl restart edge-gateway 2>/dev/null || true
check_contains "a socket for no key is told" 'but no key listens there' "$(inside journalctl -u edge-gateway --no-pager -o cat -n 5)"
inside systemctl stop edge-gateway.socket
inside sed -i 's|^listen = "127.0.0.1:8090"|listen = "127.0.0.1:8080"|' /etc/edge-gateway/gateway.toml
inside systemctl reset-failed edge-gateway
inside systemctl start edge-gateway

inside dpkg -r edge-gateway >/dev/null 2>&1
check "removed, it does not run" inactive "$(state)"
check "data and configuration stay" 'gateway.db gateway.toml' \
    "$(inside sh -c 'cd /var/lib/edge-gateway && ls gateway.db; cd /etc/edge-gateway && ls gateway.toml' | xargs)"
inside dpkg -P edge-gateway >/dev/null 2>&1
check "purged, nothing stays" '' \
    "$(inside sh -c 'ls -d /var/lib/edge-gateway /etc/edge-gateway /usr/bin/edge-gateway /usr/lib/systemd/system/edge-gateway* 2>/dev/null; getent passwd edge-gateway || true')"

# Those of other machines, where this one can run their programs.
for machine in arm64:qemu-aarch64 armhf:qemu-arm; do
    deb="edge-gateway_${version}-1_${machine%:*}.deb"
    [ -e "$dist/$deb" ] || continue
    if ! runs_by "${machine#*:}"; then
        printf 'skip  %s: no binfmt_misc here\n' "$deb"
        continue
    fi
    inside dpkg --add-architecture "${machine%:*}"
    # The emulator makes code as it runs.
    inside sh -c 'mkdir -p /etc/systemd/system/edge-gateway.service.d &&
        printf "[Service]\nMemoryDenyWriteExecute=no\n" >/etc/systemd/system/edge-gateway.service.d/emulated.conf'
    inside dpkg -i "$deb" >/dev/null 2>&1 || true
    check "$deb installs" 'install ok installed' "$(inside dpkg-query -W -f '${Status}' "edge-gateway:${machine%:*}")"
    eventually is_active || inside journalctl -u edge-gateway --no-pager
    check "$deb serves" '{"status":"success","message":"Data received!"}' "$(post '{"id":"s1","value":80}')"
    inside systemctl restart edge-gateway
    check "$deb keeps the data" '{"s1":80.0}' "$(values)"
    inside dpkg -P "edge-gateway:${machine%:*}" >/dev/null 2>&1
done
checked
