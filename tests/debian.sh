# A small Debian in a container, for what is tried there: to be sourced, at the root of the repository. Needs root, debootstrap and
# systemd-nspawn. Makes the folder `$work` with the tree `$root`, and takes both away at the end.
. tests/checks.sh

# Made once.
debian="${XDG_CACHE_HOME:-$HOME/.cache}/edge-gateway-debian-12"
if [ ! -e "$debian/made" ]; then
    rm -rf "$debian"
    mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | head -1)
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,adduser,curl bookworm "$debian" "$mirror" >/dev/null
    touch "$debian/made"
fi

work="$(mktemp -d)"
root="$work/debian"
container=
finish() {
    if [ -n "$container" ]; then
        kill -s TERM "$container" 2>/dev/null || true
        wait "$container" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap finish EXIT
patience=60
cp -a "$debian" "$root"

# contain ARGUMENTS…: runs the container. No network but its own loopback, so that the usual ports are free.
contain() {
    systemd-nspawn --quiet --register=no --keep-unit --private-network --directory="$root" "$@" \
        </dev/null >"$work/console" 2>&1 &
    container=$!
    eventually is_up
}
# The first process that it has is gone again soon.
is_up() { leader=$(pgrep --parent "$container" | head -1) && [ -n "$leader" ] && inside true; }
# inside COMMAND…: in the container, as root.
inside() { nsenter --target "$leader" --all --wdns=/root env HOME=/root "$@"; }
