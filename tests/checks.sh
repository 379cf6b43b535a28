# How scripts check: to be sourced. Each check prints a line; `checked` at the end fails if any did.
passed=0 failed=0
# check NAME EXPECTED FOUND
check() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
        printf 'ok    %s\n' "$1"
    else
        failed=$((failed + 1))
        printf 'FAIL  %s\n      expected: %s\n      found:    %s\n' "$1" "$2" "$3"
    fi
}
# check_contains NAME PART FOUND
check_contains() {
    case "$3" in
        *"$2"*) check "$1" yes yes ;;
        *) check "$1" "…$2…" "$3" ;;
    esac
}
# eventually COMMAND…: until it succeeds, at most so many seconds as `patience` says.
patience=20
eventually() {
    local turn
    for turn in $(seq $((patience * 20))); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.05
    done
    printf 'waited in vain: %s\n' "$*"
    return 1
}
# runs_by EMULATOR: whether this machine runs the programs that it emulates, such as qemu-arm. It is asked for that first.
runs_by() {
    [ -e /proc/sys/fs/binfmt_misc/register ] || mount -t binfmt_misc none /proc/sys/fs/binfmt_misc || true
    PATH="$PATH:/usr/sbin" update-binfmts --enable "$1" || true
    [ -e "/proc/sys/fs/binfmt_misc/$1" ]
}
# Tells how many passed; fails if any did not.
checked() {
    printf '%s passed, %s failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ]
}
