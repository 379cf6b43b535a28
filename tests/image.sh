#!/usr/bin/env bash
# The container images, made twice and started by a Docker daemon of this script's own: tests/image.sh FOLDER
# FOLDER has the binaries of docker/build-binaries.sh. Needs root and Debian's docker.io; images of other machines are started if
# binfmt_misc can be had.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/checks.sh
dist=$(realpath "$1")

work="$(mktemp -d)"
daemon=
finish() {
    if [ -n "$daemon" ]; then
        kill "$daemon" 2>/dev/null || true
        wait "$daemon" 2>/dev/null || true
        umount "$work"/run/netns/* 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap finish EXIT
patience=60

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
# The same twice, in other folders.
docker/build-sbom.sh "$work/sbom.json"
git clone --quiet . "$work/clone"
"$work/clone/docker/build-sbom.sh" "$work/cloned.json"
check "the bill of materials is the same wherever it is made" "$(sha256sum <"$work/sbom.json")" "$(sha256sum <"$work/cloned.json")"
check "it has what no crate says" "generic/musl generic/sqlite github/facebook/zstd npm/mqtt npm/uplot" "$(python3 -c '
import json, sys
named = {component.get("purl", "").split("@")[0].removeprefix("pkg:") for component in json.load(open(sys.argv[1]))["components"]}
print(*sorted(named & {"generic/musl", "generic/sqlite", "github/facebook/zstd", "npm/mqtt", "npm/uplot"}))' "$work/sbom.json")"
cargo run --quiet --locked --package roots >"$work/roots.pem"
check "authorities" "$(openssl storeutl -noout -certs "$work/roots.pem" | tail -1)" \
    "Total found: $(grep -c BEGIN "$work/roots.pem")"
binaries=()
for target in x86_64-unknown-linux-musl armv7-unknown-linux-musleabihf aarch64-unknown-linux-musl; do
    [ -e "$dist/edge-gateway-$target" ] && binaries+=("$dist/edge-gateway-$target")
done
if [ -e "$dist/edge-gateway-$version.cdx.json" ]; then
    # Its compiler may be another.
    cp "$dist/edge-gateway-$version.cdx.json" "$work/sbom.json"
fi
for turn in 1 2; do
    mkdir "$work/$turn"
    ln -s "${binaries[@]}" "$work/$turn/"
    docker/build-image.py --dist "$work/$turn" --roots "$work/roots.pem" --sbom "$work/sbom.json" >"$work/$turn.made"
done
check "two runs make the same images" "$(cat "$work/1.made")" "$(cat "$work/2.made")"
check "byte by byte" "$(cd "$work/1" && cat ./*.tar | sha256sum)" "$(cd "$work/2" && cat ./*.tar | sha256sum)"
cat "$work/1.made"
check "each under 12 MB, compressed" '' "$(awk '/compressed/ && 12000000 < $3' "$work/1.made")"
if [ -e "$dist/edge-gateway-$version.oci.tar" ]; then
    check "what docker/release.sh has made is what is tried here" "$(cd "$work/1" && sha256sum ./*.tar)" "$(cd "$dist" && sha256sum ./*.tar)"
fi
mkdir "$work/layout"
tar -xf "$work/1/edge-gateway-$version.oci.tar" -C "$work/layout"
wrong=$(cd "$work/layout/blobs/sha256" && for blob in *; do printf '%s  %s\n' "$blob" "$blob"; done | sha256sum -c --quiet 2>&1 || true)
check "blobs have the digests that they are named by" '' "$wrong"
check "the index names a platform for each binary" "${#binaries[@]}" \
    "$(cd "$work/layout" && python3 -c '
import json
blob = lambda it: json.load(open("blobs/" + it["digest"].replace(":", "/")))
index = blob(json.load(open("index.json"))["manifests"][0])
platforms = {"/".join(m["platform"][key] for key in ("os", "architecture")) for m in index["manifests"]}
print(len(platforms))')"

for files in "compose.yaml" "compose.yaml --profile monitoring" "compose.yaml -f compose.demo.yaml"; do
    # shellcheck disable=SC2086
    check "$files" 0 "$(cd docker && docker-compose -f $files config --quiet 2>"$work/said"; echo $?)"
done

# A daemon of its own, beside whatever else runs here.
export DOCKER_HOST="unix://$work/docker.sock" DOCKER_CONFIG="$work/config"
PATH="$PATH:/usr/sbin" dockerd --iptables=false --bridge=none --host "$DOCKER_HOST" --data-root "$work/data" \
    --exec-root "$work/run" --pidfile "$work/pid" >"$work/dockerd.log" 2>&1 &
daemon=$!
eventually docker info || { tail -20 "$work/dockerd.log"; exit 1; }
docker load --quiet --input "$work/1/edge-gateway-$version-amd64.image.tar"

# contents IMAGE
contents() {
    id=$(docker create "$1") && docker export "$id" | tar -t |
        grep -vE '^(\.dockerenv|dev/.*|proc/|sys/|etc/(hostname|hosts|resolv.conf|mtab))$' | sort | xargs
    docker rm "$id" >/dev/null
}
inspect() { docker image inspect --format "$1" edge-gateway:latest; }
check "labels" "$version $(git rev-parse HEAD)" \
    "$(inspect '{{index .Config.Labels "org.opencontainers.image.version"}} {{index .Config.Labels "org.opencontainers.image.revision"}}')"
check "nothing but what belongs there" \
    "broker-config/ broker-config/gateway.toml data/ edge-gateway etc/ etc/group etc/passwd etc/ssl/ etc/ssl/certs/ etc/ssl/certs/ca-certificates.crt sbom.cdx.json" \
    "$(contents edge-gateway:latest)"

# The Dockerfile's last stage. Its first needs a network, and is replaced by what the image here was made of.
mkdir -p "$work/image" "$work/context/out/data"
docker create --name made edge-gateway:latest >/dev/null
docker export made | tar -x -C "$work/image"
docker rm made >/dev/null
(cd "$work/image" && cp edge-gateway etc/passwd etc/group "$work/context/out/" && cp -r broker-config "$work/context/")
cp "$work/roots.pem" "$work/context/out/"
{
    printf 'FROM scratch AS build\nCOPY out /out\n'
    sed -n '/^FROM scratch AS gateway$/,$p' docker/Dockerfile
} >"$work/context/Dockerfile"
DOCKER_BUILDKIT=0 docker build --quiet --tag by-dockerfile "$work/context" >"$work/said" 2>&1 || cat "$work/said"
check "the Dockerfile's image has the same, but for the bill of materials" \
    "$(contents edge-gateway:latest | sed 's| sbom.cdx.json$||')" "$(contents by-dockerfile)"
settings=$(printf '{{json .Config.%s}} ' User WorkingDir Entrypoint Env ExposedPorts Volumes Healthcheck)
check "and the same settings" "$(inspect "$settings")" "$(docker image inspect --format "$settings" by-dockerfile | sed 's|"PATH=[^"]*",||')"
check "--version" "edge-gateway $version" "$(docker run --rm --network none edge-gateway:latest --version)"

# run NAME IMAGE ARGUMENTS…: in this machine's network, where the gateway's own loopback is ours.
run() {
    local name=$1 image=$2
    shift 2
    docker run --detach --name "$name" --network host --read-only --cap-drop ALL --security-opt no-new-privileges \
        --health-interval 1s --volume gateway:/data --env EDGE_GATEWAY_GATEWAY_ID=image --env EDGE_GATEWAY_MQTT__LISTEN=127.0.0.1:21883 \
        --env EDGE_GATEWAY_HTTP__LISTEN=127.0.0.1:28080 --env EDGE_GATEWAY_MQTT__WEBSOCKET_LISTEN=127.0.0.1:28083 \
        "$@" "$image" >/dev/null
    eventually curl -fsS http://127.0.0.1:28080/readyz || { docker logs "$name"; exit 1; }
}
post() { curl -sS -H 'Content-Type: application/json' -d "$1" http://127.0.0.1:28080/data | tr -d '\n'; }
values() { curl -sS http://127.0.0.1:28080/data; }

# A store of the first version, as somebody has it who upgrades, in a volume that belongs to the image's user.
volume="$(docker volume create gateway >/dev/null && docker volume inspect --format '{{.Mountpoint}}' gateway)"
{
    cat gateway/src/store/migrations/0001_init.sql
    echo "PRAGMA user_version = 1;
        INSERT INTO counter (one, store_id, commit_group, reading, alert, reject, batch, sensors_saved_upto)
            VALUES (1, 'abc', 9, 1, 0, 0, 0, 1);
        INSERT INTO sensor (key, name, readings, last_reading, last_value) VALUES (1, 'old', 1, 1, 60.5);
        INSERT INTO reading (id, sensor, value, ts, delay, tags, attributes)
            VALUES (1, 1, 60.5, 1764000000000, 3, NULL, NULL);
        INSERT INTO outbox_entry (reading) VALUES (1);"
} | sqlite3 "$volume/gateway.db"
chown -R 10001:10001 "$volume"
run first "edge-gateway:$version"
check "a store of the first version is taken up" '{"old":60.5}' "$(values)"
check "POST /data" '{"status":"success","message":"Data received!"}' "$(post '{"id":"s1","value":80}')"
check "mosquitto_pub" '' "$(mosquitto_pub -p 21883 -q 1 -t sensors/s2 -m 42 2>&1)"
check "it is not root" "10001 10001" "$(awk '/^(Uid|Gid)/ {print $2}' "/proc/$(docker inspect --format '{{.State.Pid}}' first)/status" | xargs)"
is_healthy() { [ "$(docker inspect --format '{{.State.Health.Status}}' "$1")" = healthy ]; }
check "the health check finds it well" yes "$(eventually is_healthy first && echo yes)"
docker stop --time 20 first >/dev/null
check "SIGTERM ends it in order" 0 "$(docker inspect --format '{{.State.ExitCode}}' first)"
check "it says so" yes "$(docker logs first 2>&1 | grep -q stopped && echo yes)"
docker rm first >/dev/null
run second edge-gateway:latest
check "the volume outlives the container" '{"old":60.5,"s1":80.0,"s2":42.0}' "$(values)"
# Pulled, not stopped.
docker kill second >/dev/null && docker rm second >/dev/null
run third edge-gateway:latest
check "and a kill" '{"old":60.5,"s1":80.0,"s2":42.0}' "$(values)"
check "what is to be forwarded waits" 2 "$(curl -sS http://127.0.0.1:28080/api/v1/outbox | python3 -c 'import json, sys; print(json.load(sys.stdin)["pending"])')"
docker rm --force third >/dev/null
docker volume rm gateway >/dev/null
run fourth by-dockerfile
check "the Dockerfile's image serves, on a volume that is new" '{"status":"success","message":"Data received!"}' "$(post '{"id":"s1","value":80}')"
check "and its health check finds it well" yes "$(eventually is_healthy fourth && echo yes)"
docker rm --force fourth >/dev/null

# A folder that is not the image's user's is told, and so is a port beyond loopback without users.
mkdir -m 0700 "$work/foreign"
check "a folder of others ends the start with 74" 74 \
    "$(docker run --rm --network none --volume "$work/foreign:/data" edge-gateway:latest >"$work/said" 2>&1; echo $?)"
check_contains "and says why" "/data/gateway.db" "$(cat "$work/said")"
check "an open port without users ends the start with 64" 64 \
    "$(docker run --rm --network none --env EDGE_GATEWAY_HTTP__LISTEN=0.0.0.0:8080 edge-gateway:latest >"$work/said" 2>&1; echo $?)"

# The others, where this machine can run their programs.
for platform in arm64:qemu-aarch64 arm-v7:qemu-arm; do
    archive="$work/1/edge-gateway-$version-${platform%:*}.image.tar"
    [ -e "$archive" ] || continue
    if ! runs_by "${platform#*:}"; then
        printf 'skip  %s: no binfmt_misc here\n' "${platform%:*}"
        continue
    fi
    docker load --quiet --input "$archive"
    docker volume rm --force gateway >/dev/null
    run board edge-gateway:latest
    check "${platform%:*}: it serves" '{"status":"success","message":"Data received!"}' "$(post '{"id":"s1","value":80}')"
    check "${platform%:*}: mosquitto_pub" '' "$(mosquitto_pub -p 21883 -q 1 -t sensors/s2 -m 42 2>&1)"
    docker stop --time 20 board >/dev/null
    check "${platform%:*}: SIGTERM ends it in order" 0 "$(docker inspect --format '{{.State.ExitCode}}' board)"
    docker rm board >/dev/null
    run board edge-gateway:latest
    check "${platform%:*}: the volume outlives the container" '{"s1":80.0,"s2":42.0}' "$(values)"
    docker rm --force board >/dev/null
done
checked
