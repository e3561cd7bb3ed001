#!/usr/bin/env bash
# Tries the kernels (crates/maskline-kernels) on processors that this machine may not have, and looks for what no test sees: undefined
# behaviour in their `unsafe` code, and threads that touch the same memory.
#
#   testing/kernels.sh                # all parts
#   testing/kernels.sh miri neon      # some of: miri, neon, avx512, addresses, threads
#
# CI does all but avx512, which boots a whole computer: run it when `simd/avx512.rs` changes.
#
# What cannot be tried, as its tools are neither here nor to be had, is named at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

# Tests take a small case of each kind where everything takes long.
export MASKLINE_SMALL_TESTS=1
target="${CARGO_TARGET_DIR:-$PWD/target}/kernels"
host=$(rustc -vV | sed -n 's/^host: //p')
not_checked=()

miss() {
    not_checked+=("not checked: $1: $2 cannot be had here")
}

has() {
    command -v "$1" >/dev/null
}

# nightly COMPONENT...: a nightly compiler with them, installed if need be.
nightly() {
    has rustup || return 1
    local component
    for component in "$@"; do
        rustup "+nightly" component list --installed 2>/dev/null | grep "^$component" >/dev/null ||
            rustup toolchain install nightly --profile minimal --component "$component" >/dev/null 2>&1 || return 1
    done
}

# packages NEEDED PACKAGE...: installs the packages, unless the program or file that is needed is there.
packages() {
    has "$1" && return
    [ -e "$1" ] && return
    has apt-get || return 1
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${@:2}"; } >/dev/null 2>&1
}

# Every operation checked while the tests are interpreted: those of `simd`, where all intrinsics are. The others would take hours.
miri() {
    if [[ $host != x86_64-* ]] || ! nightly miri rust-src; then
        miss "undefined behaviour" "a nightly compiler for x86-64 with Miri"
        return
    fi
    # Under Miri a processor has what is compiled for.
    CARGO_TARGET_DIR="$target/miri" RUSTFLAGS="-Ctarget-feature=+avx2,+fma,+f16c" MIRIFLAGS="-Zmiri-env-set=MASKLINE_EXPECTED_PROCESSOR=avx2" \
        cargo +nightly miri test -p maskline-kernels --lib simd::
}

neon() {
    if ! packages aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross || ! packages qemu-aarch64 qemu-user ||
        ! { has rustup && rustup target add aarch64-unknown-linux-gnu >/dev/null 2>&1; }; then
        miss "NEON" "qemu-aarch64, or a compiler and linker for it,"
        return
    fi
    CARGO_TARGET_DIR="$target/neon" MASKLINE_EXPECTED_PROCESSOR=neon \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu" \
        cargo test -p maskline-kernels --lib --target aarch64-unknown-linux-gnu
}

# Neither qemu nor Miri knows AVX-512, but Bochs does. It is a whole computer: Linux starts the tests there as its only program, and is told
# not to use what Bochs says wrong sizes of (XSAVES), or it would go without AVX.
avx512() {
    if grep -qw avx512f /proc/cpuinfo 2>/dev/null; then
        MASKLINE_EXPECTED_PROCESSOR=avx512 cargo test -p maskline-kernels --lib
        return
    fi
    local folder="$target/avx512" kernel library=/usr/lib/x86_64-linux-gnu/bochs/plugins
    mkdir -p "$folder/iso"
    if [[ $host != x86_64-*-linux-gnu ]] || ! bochs_and_kernel "$folder"; then
        miss "AVX-512" "Bochs, or a Linux kernel for it,"
        return
    fi
    kernel=$(find "$folder/kernel/boot" -name 'vmlinuz-*' | head -n 1)
    # Only the tests that are over soon: they reach every instruction.
    local tests="simd:: attention:: memory:: linear:: multi_head::" program
    # Statically linked. What it depends on is what `cargo test` has built.
    program=$(cargo rustc -p maskline-kernels --lib --profile test --message-format json -- -Ctarget-feature=+crt-static |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
    cp "$kernel" "$folder/iso/vmlinuz"
    cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$folder/iso"
    strip -o "$folder/init" "$program"
    (cd "$folder" && echo init | cpio --quiet -o -H newc >iso/initrd)
    cat >"$folder/iso/isolinux.cfg" <<END
DEFAULT tests
LABEL tests
 KERNEL /vmlinuz
 INITRD /initrd
 APPEND console=ttyS0 mitigations=off clearcpuid=xsaves,xsavec RUST_TEST_THREADS=1 MASKLINE_SMALL_TESTS=1 MASKLINE_EXPECTED_PROCESSOR=avx512 -- $tests
END
    xorriso -as mkisofs -quiet -o "$folder/disc.iso" -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table \
        "$folder/iso" 2>/dev/null
    cat >"$folder/bochsrc" <<END
cpu: model=corei7_skylake_x
memory: guest=512, host=512
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0-master: type=cdrom, path=$folder/disc.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$folder/said.txt
display_library: rfb, options="timeout=0"
log: $folder/bochs.log
END
    echo continue >"$folder/commands"
    : >"$folder/said.txt"
    LTDL_LIBRARY_PATH=$library timeout 300 bochs-bin -q -f "$folder/bochsrc" -rc "$folder/commands" </dev/null >"$folder/bochs.txt" 2>&1 &
    local machine=$!
    # A kernel whose only program ends says so in a panic, with the program's exit code.
    while kill -0 $machine 2>/dev/null && ! grep -q "end Kernel panic" "$folder/said.txt"; do
        sleep 1
    done
    kill $machine 2>/dev/null || true
    wait $machine 2>/dev/null || true
    sed -n '/^running /,$p' "$folder/said.txt" | grep -E '^(running|test)|panicked|left:|right:|exitcode' || true
    grep -q 'exitcode=0x00000000' "$folder/said.txt" && grep -q '^running [1-9]' "$folder/said.txt"
}

# bochs_and_kernel FOLDER: the kernel is only unpacked there. Installed, this machine would start from it.
bochs_and_kernel() {
    packages bochs-bin bochs bochs-term bochsbios vgabios || return 1
    packages /usr/lib/ISOLINUX/isolinux.bin isolinux || return 1
    packages /usr/lib/syslinux/modules/bios/ldlinux.c32 syslinux-common || return 1
    packages xorriso xorriso && packages cpio cpio || return 1
    [ -e "$1/kernel/boot" ] && return
    local name
    name=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
    [ -n "$name" ] && (cd "$1" && apt-get download -qq "$name" && dpkg-deb -x "$name"_*.deb kernel) >/dev/null 2>&1
}

# Every access to memory of all tests, at their full size.
addresses() {
    if [[ $host != x86_64-*-linux-gnu ]] || ! nightly rustc; then
        miss "accesses to memory" "a nightly compiler for x86-64, for the address sanitizer,"
        return
    fi
    CARGO_TARGET_DIR="$target/addresses" RUSTFLAGS="-Zsanitizer=address" \
        env -u MASKLINE_SMALL_TESTS cargo +nightly test --release -p maskline-kernels --lib --target "$host"
}

threads() {
    if [[ $host != x86_64-*-linux-gnu ]] || ! nightly rust-src; then
        miss "races of threads" "a nightly compiler for x86-64 with its sources, for the thread sanitizer,"
        return
    fi
    # Optimised, for a test without is a hundred times slower.
    CARGO_TARGET_DIR="$target/threads" RUSTFLAGS="-Zsanitizer=thread" \
        cargo +nightly test --release -Zbuild-std -p maskline-kernels --lib --target "$host"
}

[ $# -gt 0 ] || set -- miri neon avx512 addresses threads
for part in "$@"; do
    case $part in
        miri | neon | avx512 | addresses | threads) ;;
        *) echo "no such part: $part (miri, neon, avx512, addresses, threads)" >&2 && exit 2 ;;
    esac
    echo "== kernels: $part"
    "$part"
done
for line in "${not_checked[@]}"; do
    echo "$line"
done
