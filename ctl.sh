#!/usr/bin/env bash
# The project's front door: installs what is missing, builds, tests.
set -euo pipefail
cd "$(dirname "$0")"

usage() {
    cat <<'EOF'
Usage: ./ctl.sh COMMAND

  setup          install what building and testing need, and say what and why
  build          build the firmware, and link it for the ESP-01
  test           run all tests of the quick gate (under 20 minutes on 2 cores)
  test --long    run those and the ones that take longer
  help           show this

Exit codes: 0 done, 1 something failed, 2 wrong usage.
EOF
}

# Debian packages, and what for.
packages=(
    "rustc-web                 the compiler that knows the LX106"
    "cargo-web                 its cargo"
    "rust-web-src              the source of its library, which is built for the LX106"
    "gcc-xtensa-lx106          assembles and links for the LX106"
    "binutils-xtensa-lx106     reads what was linked"
    "picolibc-xtensa-lx106-elf memory intrinsics for the LX106"
    "qemu-system-misc          runs the LX106"
    "iproute2                  network namespaces for the tests"
    "curl                      a client that is not ours"
    "gcc                       links programs for this machine"
    "libc6-dev                 likewise"
)

say() { printf '\n== %s\n' "$*"; }

fail() {
    printf 'ctl.sh: %s\n' "$*" >&2
    exit 1
}

setup() {
    command -v rustup >/dev/null || command -v cargo >/dev/null ||
        fail "no Rust here; install rustup (https://rustup.rs), then run this again"
    local missing=() line name what
    for line in "${packages[@]}"; do
        read -r name what <<<"$line"
        if ! dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q '^install ok'; then
            printf 'missing: %-26s %s\n' "$name" "$what"
            missing+=("$name")
        fi
    done
    [ ${#missing[@]} -eq 0 ] && return
    local install="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        fail "run this as root, then try again:
  sudo sh -c '$install'"
    fi
    say "installing ${missing[*]}"
    DEBIAN_FRONTEND=noninteractive sh -c "$install" >/dev/null
}

run() {
    say "$*"
    local start=$SECONDS
    "$@"
    printf '   (%s s)\n' $((SECONDS - start))
}

host_tests() {
    local long=("$@")
    if cargo nextest --version >/dev/null 2>&1; then
        run cargo nextest run --workspace ${long[@]+--run-ignored all}
        run cargo test --workspace --doc --quiet
    else
        run cargo test --workspace --quiet -- ${long[@]+--include-ignored}
    fi
}

test_all() {
    setup
    run cargo xtask doctor
    run cargo fmt --all --check
    run cargo fmt --manifest-path firmware/Cargo.toml --all --check
    run cargo clippy --workspace --all-targets --quiet -- -D warnings
    RUSTDOCFLAGS="-D warnings" run cargo doc --workspace --no-deps --quiet
    run cargo build --release --quiet
    host_tests "$@"
    run cargo test --manifest-path firmware/Cargo.toml --package node --lib --quiet
    run cargo xtask purity
    run cargo xtask difftest
    run cargo xtask footprint --check
    run cargo xtask e2e
    say "all passed in $((SECONDS / 60)) min $((SECONDS % 60)) s"
}

case "${1-help}" in
    setup) setup ;;
    build)
        setup
        run cargo xtask firmware build --board emulated
        run cargo xtask firmware build --board esp01
        ;;
    test)
        case "${2-}" in
            "") test_all ;;
            --long) test_all long ;;
            *) usage >&2; exit 2 ;;
        esac
        ;;
    help | --help | -h) usage ;;
    *) usage >&2; exit 2 ;;
esac
