# Builds for other machines: to be sourced. Needs cargo-zigbuild and zig (both also come by `pip install cargo-zigbuild ziglang`), and of
# Rust either the targets (`rustup target add TARGET`) or the source of its standard library (`rustup component add rust-src`), which is
# then built along. For 32 bits take the source: the library that comes with a target counts seconds until 2038.

# cross TARGET COMMAND OPTION…: cargo's COMMAND, with zig's compiler for C.
cross() {
    local target="$1" command="$2" library strategy
    shift 2
    library=$("${RUSTC:-rustc}" --print sysroot)/lib/rustlib
    local built="$library/$target/lib" source="$library/src/rust/library/std"
    # No panic goes through C. Of zstd nobody here uses levels above 3.
    local -x CFLAGS="${CFLAGS:-} -fno-asynchronous-unwind-tables -fno-unwind-tables"
    for strategy in GREEDY LAZY LAZY2 BTLAZY2 BTOPT BTULTRA; do
        CFLAGS+=" -DZSTD_EXCLUDE_${strategy}_BLOCK_COMPRESSOR"
    done
    # Seconds have 64 bits: each says so to other versions of crate libc, of which the standard library has its own.
    local -x RUST_LIBC_UNSTABLE_MUSL_V1_2_3=1
    local -x RUSTFLAGS="${RUSTFLAGS:-} --cfg=libc_unstable_musl_v1_2 --cfg=libc_unstable_musl_v1_2_3"
    if [ -d "$source" ] && { [ ! -d "$built" ] || [[ $target = armv7* ]]; }; then
        # The C library and its start files are zig's. No backtraces: they would be numbers, without the names that are stripped.
        RUSTFLAGS+=" -C link-self-contained=no"
        RUSTC_BOOTSTRAP=1 \
            cargo-zigbuild "$command" -Zbuild-std=std,panic_abort,test -Zbuild-std-features=panic-unwind --locked --target "$target" "$@"
    elif [ -d "$built" ]; then
        [[ $target != armv7* ]] || echo "$target: without the source of the standard library, time ends in 2038" >&2
        # Names as gateway/layout.ld has them; with its library built along, the compiler gives these by itself.
        RUSTFLAGS+=" -C symbol-mangling-version=v0"
        cargo-zigbuild "$command" --locked --target "$target" "$@"
    else
        echo "no standard library for $target: rustup component add rust-src, or rustup target add $target" >&2
        return 1
    fi
}
