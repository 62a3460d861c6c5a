#!/usr/bin/env bash
# The project's front door: installs what is missing, builds, tests.
set -euo pipefail
cd "$(dirname "$0")"
# Shells that read no profile do not find rustup's programs.
PATH="${CARGO_HOME:-${HOME-}/.cargo}/bin:$PATH"

usage() {
    cat <<'EOF'
Usage: ./ctl.sh COMMAND

  setup              install what building and testing need, and say what and why
  build              build what an ESP-01 is flashed and updated with, signed if there is a release
                     key; --slot a|b|both, --release, --json
  flash [PORT]       write a board over its serial line; --claim makes it yours (flash --help)
  monitor [PORT]     show what a board prints, until Ctrl-C
  ota update NODE    update a node over the network; ota all: all of them; ota status, ota halt
  test               run all tests of the quick gate (some 30 minutes on 2 cores)
  test --long        run those, then all that takes longer
  test --long I/N    of what takes longer, measure shard I of N of the promises
  test --long rest   of what takes longer, run what measures no promise
  test --sdk         start the image of an ESP-01, with Espressif's own SDK in it, in QEMU; CI, and whoever
                     sets SPORE_TEST_SDK=1, does so in the quick gate
  help               show this

Exit codes: 0 done, 1 something failed or could not be run, 2 wrong usage.
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
    "util-linux                likewise, and no emulator outlives its launcher"
    "nftables                  loses packets in there; a firewall, which spore doctor must find"
    "curl                      a client that is not ours"
    "python3-venv              esptool and clients that are not ours, in folders of their own"
    "udhcpc                    a DHCP client that is not ours, which joins the access point"
    "chromium                  a browser, which opens the access point's page"
    "chromium-driver           fills in its form"
    "mosquitto                 a broker that is not ours, for the gateway"
    "mosquitto-clients         its clients, which look at what the gateway says"
    "prometheus                its promtool reads the gateway's metrics"
    "openssl                   makes the certificates of a broker, for the gateway"
    "nats-server               carries the gateway's messages in a broker's place"
    "sqlite3                   reads the gateway's history, and is not ours"
    "avahi-daemon              multicast DNS that is not ours, for the gateway"
    "avahi-utils               likewise"
    "dbus                      what avahi's programs speak over"
    "nodejs                    makes dashboard and flasher again, to check them"
    "tshark                    opens captures with the dissector"
    "man-db                    shows the manual pages, to check them"
    "zsh                       loads its completions, likewise"
    "fish                      likewise"
    "systemd                   looks at the units of the package"
    "gcc                       links programs for this machine"
    "g++                       compiles libFuzzer, which the long tests drive"
    "libc6-dev                 likewise"
    "valgrind                  counts instructions, for what a node costs"
)

# No shard of the long tests may take longer.
shard_limit=80m

say() { printf '\n== %s\n' "$*"; }

fail() {
    printf 'ctl.sh: %s\n' "$*" >&2
    exit 1
}

installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q '^install ok'; }

setup() {
    command -v rustup >/dev/null ||
        fail "rustup is missing; install it (https://rustup.rs), then run this again"
    command -v dpkg-query >/dev/null ||
        fail "this is no Debian; the firmware's toolchain comes from Debian 12, so use a container or chroot of it"
    local missing=() line name what
    for line in "${packages[@]}"; do
        read -r name what <<<"$line"
        installed "$name" && continue
        printf 'missing: %-26s %s\n' "$name" "$what"
        missing+=("$name")
    done
    # Some packages of Node.js bring it, Debian's does not.
    if ! command -v npm >/dev/null; then
        printf 'missing: %-26s %s\n' npm "installs what dashboard and flasher are made with"
        missing+=(npm)
    fi
    [ ${#missing[@]} -eq 0 ] && return
    # apt would remove these to make room, without asking.
    for name in rustc cargo rustup; do
        installed "$name" && fail "Debian's package $name conflicts with ${missing[0]}; \
remove it (apt-get remove $name), and use rustup from https://rustup.rs"
    done
    local install="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        fail "run this as root, then try again:
  sudo sh -c '$install'"
    fi
    say "installing ${missing[*]}"
    DEBIAN_FRONTEND=noninteractive sh -c "$install" >/dev/null
}

# The program behind `cargo xtask`, when it was built with everything else. On its own, it would be compiled with other
# features of what it shares with the rest, which would then be compiled twice.
xtask=

# Runs a command as a reader would type it.
execute() {
    if [ -n "$xtask" ] && [ "$1 ${2-}" = "cargo xtask" ]; then
        shift 2
        "$xtask" "$@"
    else
        "$@"
    fi
}

run() {
    say "$*"
    local start=$SECONDS
    execute "$@"
    printf '   (%s s)\n' $((SECONDS - start))
}

# Starts a command beside what comes after it, until `joined`. What it prints comes then, in one piece.
aside() {
    say "$* (beside what follows)"
    aside_log=$(mktemp)
    # With a process group of its own.
    set -m
    execute "$@" >"$aside_log" 2>&1 &
    set +m
    aside_pid=$!
    # Whatever ends us ends it, with all that it has started.
    trap 'kill -- "-$aside_pid" 2>/dev/null || :; rm -f "$aside_log"' EXIT
}

joined() {
    local code=0
    say "what was started beside"
    wait "$aside_pid" || code=$?
    cat "$aside_log"
    trap - EXIT
    rm -f "$aside_log"
    [ "$code" -eq 0 ] || fail "it failed"
}

# All tests of this machine; those that measure promises with their figures.
host_tests() {
    if cargo nextest --version >/dev/null 2>&1; then
        run cargo nextest run --workspace --profile gate --filterset "$(execute cargo xtask promises --others)"
        run cargo test --workspace --doc --quiet
    else
        # More than there are cores: most tests of the commands wait for nodes.
        RUST_TEST_THREADS=4 run cargo test --workspace --quiet
    fi
    run cargo xtask promises --quick
    run cargo xtask canaries
}

# What compiles and links firmware, and runs it where no clock is looked at.
firmware_checks() {
    run cargo xtask purity
    run cargo xtask sdk
    run cargo xtask rom
    run cargo xtask difftest
    run cargo xtask sdk-emu
    # It runs Espressif's own libraries, so it is asked for (docs/decisions/0019).
    if [ -n "${SPORE_TEST_SDK-}" ]; then
        run cargo xtask sdk-main
    fi
    run cargo xtask flash-check
}

quick() {
    local workspace
    run cargo fmt --all --check
    run cargo fmt --manifest-path firmware/Cargo.toml --all --check
    run cargo fmt --manifest-path bench/Cargo.toml --check
    # The lock files are what the manifests ask for; the last two are used in the long tests only.
    for workspace in Cargo.toml firmware/Cargo.toml fuzz/guided/Cargo.toml bench/Cargo.toml; do
        run cargo update --manifest-path "$workspace" --workspace --locked --quiet
    done
    run cargo build --workspace --quiet
    xtask=${CARGO_TARGET_DIR:-target}/debug/xtask
    run cargo xtask doctor
    # Most of its time the firmware's compiler uses one core.
    aside cargo xtask firmware images
    run cargo clippy --workspace --all-targets --quiet -- -D warnings
    # What programs of nodes are made of.
    run cargo clippy --package spore-cli --no-default-features --quiet -- -D warnings
    run cargo clippy --manifest-path firmware/Cargo.toml -p node -p difftest -p qemu -p sdk-emu -p sdk-sys -p sdk-test -p boot --all-targets --quiet -- -D warnings
    RUSTDOCFLAGS="-D warnings" run cargo doc --workspace --no-deps --quiet
    run cargo test --workspace --no-run --quiet
    run cargo test --manifest-path firmware/Cargo.toml --package node --package qemu --package sdk-emu --lib --quiet
    joined
    # Of the one most time is waiting for nodes, of the other most is one core's.
    aside firmware_checks
    host_tests
    run cargo xtask api
    run cargo xtask deb --spore "${CARGO_TARGET_DIR:-target}/debug/spore"
    isolated firewall
    run cargo xtask wireshark
    isolated portal
    isolated dashboard
    isolated flasher
    isolated gateway
    joined
    # These have the machine to themselves: boards and nodes that are too slow are taken for dead.
    run cargo xtask footprint --check
    run cargo xtask soak --nodes 8 --minutes 0.5
    isolated portal --board
    isolated e2e
    isolated e2e --resets 1 --boards 3 --hosts 3
    isolated e2e --updates --boards 2 --hosts 2
}

# A test that makes networks of its own, where that is allowed.
isolated() {
    local code=0
    say cargo xtask "$@"
    local start=$SECONDS
    execute cargo xtask "$@" || code=$?
    case $code in
        0) printf '   (%s s)\n' $((SECONDS - start)) ;;
        77) fail "everything before it passed, but cargo xtask $* could NOT be run; see above" ;;
        *) fail "cargo xtask $* failed" ;;
    esac
}

# A shard of all promises.
promises() {
    run cargo build --package xtask --quiet
    run timeout "$shard_limit" cargo xtask promises --nightly --shard "$1"
}

# What takes longer than the quick gate and measures no promise: the command as people build it; what else the simulator
# has of long sweeps; every way to compile the firmware; boards whose flash is damaged, boards reset at random; updates
# of a larger cluster, and of one whose network is cut; licences and sources of all dependencies.
rest() {
    run timeout "$shard_limit" cargo build --release --quiet
    run cargo xtask deb
    run timeout "$shard_limit" cargo test --release --package spore-sim --test world -- --ignored half_of_broadcasts_and departures_under_loss of_100_nodes_at_30
    run timeout "$shard_limit" cargo test --release --package spore-sim --test flash -- --ignored library
    run timeout "$shard_limit" cargo xtask difftest --every-option
    run timeout "$shard_limit" cargo xtask sdk-emu --flips 50
    run timeout "$shard_limit" cargo xtask e2e --resets 10
    run timeout "$shard_limit" cargo xtask e2e --updates --boards 4 --hosts 10
    run timeout "$shard_limit" cargo xtask e2e --updates --hostile --boards 2 --hosts 2
    run timeout "$shard_limit" cargo xtask gateway --nodes 64
    run cargo test --manifest-path bench/Cargo.toml --release --quiet
    run timeout "$shard_limit" cargo xtask bench costs
    run timeout "$shard_limit" cargo xtask bench peers --quick --nodes 8
    run timeout "$shard_limit" cargo xtask bench peers --sockets --quick --nodes 8
    if ! cargo deny --version >/dev/null 2>&1; then
        run cargo install cargo-deny --locked
    fi
    run cargo deny check bans licenses sources
    run cargo deny --config deny.toml --manifest-path firmware/Cargo.toml check bans licenses sources
    run cargo deny --config bench/deny.toml --manifest-path bench/Cargo.toml check bans licenses sources
}

test_command() {
    # One statement a line: in a list joined by &&, bash goes on after what fails within a function.
    case "$*" in
        "")
            setup
            quick
            ;;
        --long)
            setup
            quick
            for shard in 1 2 3 4; do
                promises "$shard/4"
            done
            rest
            ;;
        --sdk)
            setup
            run cargo xtask sdk-main
            ;;
        "--long rest")
            setup
            rest
            ;;
        "--long "[1-9]/[1-9])
            setup
            promises "$2"
            ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
    say "all passed in $((SECONDS / 60)) min $((SECONDS % 60)) s"
}

# Signs the container of the build, if there is one and a release key, and puts all that a board gets where the flasher finds it.
finish_image() {
    local folder=firmware/target/esp01
    if [ -e "$folder/esp-01.spore" ]; then
        run cargo run --release --quiet -- image sign --if-key "$folder/esp-01.spore"
    fi
    run cargo xtask flash --to-folder "$folder/browser"
}

case "${1-help}" in
    setup) setup ;;
    build)
        setup
        shift
        run cargo xtask image "$@"
        case " $* " in
            *" --help "* | *" -h "*) ;;
            # Boards are flashed with slot A.
            *" --slot b "* | *" --slot=b "*) ;;
            *) finish_image ;;
        esac
        ;;
    test) shift; test_command "$@" ;;
    # What building needs is not needed here; what is missing is said.
    flash | monitor) exec cargo xtask "$@" ;;
    ota) exec cargo run --release --quiet -- "$@" ;;
    help | --help | -h) usage ;;
    *) usage >&2; exit 2 ;;
esac
