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
# Tells how many passed; fails if any did not.
checked() {
    printf '%s passed, %s failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ]
}
