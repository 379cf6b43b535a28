# Builds for other machines: to be sourced. Needs cargo-zigbuild and zig (both also come by `pip install cargo-zigbuild ziglang`), and of
# Rust either the targets (`rustup target add TARGET`) or the source of its standard library, which is then built along.

# cross TARGET COMMAND OPTION…: cargo's COMMAND, with zig's compiler for C.
cross() {
    local target="$1" command="$2" library
    shift 2
    library=$("${RUSTC:-rustc}" --print sysroot)/lib/rustlib
    # No panic goes through C.
    local -x CFLAGS="${CFLAGS:-} -fno-asynchronous-unwind-tables -fno-unwind-tables"
    if [ -d "$library/$target/lib" ]; then
        # Names as gateway/layout.ld has them; with its library built along, the compiler gives these by itself.
        RUSTFLAGS="${RUSTFLAGS:-} -C symbol-mangling-version=v0" \
            cargo-zigbuild "$command" --locked --target "$target" "$@"
    elif [ -d "$library/src/rust/library/std" ]; then
        # The C library and its start files are zig's. No backtraces: they would be numbers, without the names that are stripped.
        RUSTC_BOOTSTRAP=1 RUSTFLAGS="${RUSTFLAGS:-} -C link-self-contained=no" \
            cargo-zigbuild "$command" -Zbuild-std=std,panic_abort,test -Zbuild-std-features=panic-unwind --locked --target "$target" "$@"
    else
        echo "no standard library for $target: rustup target add $target" >&2
        return 1
    fi
}
