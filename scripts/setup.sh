#!/usr/bin/env bash
# Installs what is missing, and nothing else: `setup.sh build` for building and the demo, `setup.sh test` for the tests
# too. Looks at files and commands only, so that it costs nothing where nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

want=${1:-test}
java_minimum=17
missing=()

die() {
    echo "setup: $*" >&2
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

java_major() {
    local java home version=
    java=$(readlink -f "$(command -v javac)")
    home=${java%/bin/javac}
    [ -r "$home/release" ] && version=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$home/release")
    [ -n "$version" ] || version=$(javac -version 2>&1 | sed -n 's/^javac \([0-9]*\).*/\1/p')
    echo "${version:-0}"
}

missing_for_building() {
    have c++ || missing+=(g++)
    have make || missing+=(make)
    have pkg-config || missing+=(pkg-config)
    # rdkafka links OpenSSL. Without pkg-config there is nobody to ask, and both are installed.
    { have pkg-config && pkg-config --exists openssl; } || missing+=(libssl-dev)
}

missing_for_tests() {
    have python3 || missing+=(python3)
    # The module that Debian keeps in python3-venv; a venv that exists proves that it was there.
    if [ ! -x "$(scripts/setup-python.sh --where)/bin/python" ]; then
        { have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null; } || missing+=(python3-venv)
    fi
    # Apache Kafka runs on Java, and Maven fetches it; a small reader of records is compiled beside it.
    if ! have java || ! have javac || [ "$(java_major)" -lt "$java_minimum" ]; then
        local package
        package=$(java_package) || exit 1
        missing+=("$package")
    fi
    have mvn || missing+=(maven)
}

java_package() {
    have apt-cache || { echo openjdk-$java_minimum-jdk-headless; return; }
    refresh_package_lists >&2
    if [ -n "$(apt-cache search --names-only "^openjdk-$java_minimum-jdk-headless$")" ]; then
        echo openjdk-$java_minimum-jdk-headless
    else
        echo default-jdk-headless
    fi
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        die "these packages are missing: ${missing[*]}. Installing them needs root and there is no sudo:" \
            "run 'apt-get install ${missing[*]}' as root, then this again."
    fi
}

# Waits for another apt rather than failing beside it.
apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 "$@"
}

# Once in a run: package lists may be old, or absent in a fresh container.
refresh_package_lists() {
    local stamp="${TMPDIR:-/tmp}/kaflowsql-setup-$$"
    [ -e "$stamp" ] && return
    apt update || die "'apt-get update' failed; its message is above. Is the network there?"
    touch "$stamp"
}

install_missing() {
    [ ${#missing[@]} -gt 0 ] || return 0
    have apt-get || die "these are missing: ${missing[*]} (names of Debian packages). There is no apt-get here:" \
        "install them by your system's means, then run this again."
    refresh_package_lists >&2
    echo "setup: installing ${missing[*]}" >&2
    apt install --no-install-recommends "${missing[@]}" >&2 \
        || die "apt could not install ${missing[*]}; its message is above."
}

rust_toolchain() {
    local channel
    channel=$(sed -n 's/^channel *= *"\(.*\)"/\1/p' rust-toolchain.toml)
    have cargo || [ ! -x "$HOME/.cargo/bin/cargo" ] \
        || die "cargo is in ~/.cargo/bin, which is not on PATH: run '. ~/.cargo/env', then this again."
    if have rustup; then
        [[ $'\n'$(rustup toolchain list) == *$'\n'"$channel"-* ]] && return
        echo "setup: installing Rust $channel" >&2
        rustup toolchain install "$channel" --profile minimal --component rustfmt --component clippy >&2 \
            || die "rustup could not install Rust $channel; its message is above."
    elif have cargo; then
        echo "setup: there is no rustup; using $(cargo --version), while the project is built with Rust $channel." >&2
    else
        die "there is no Rust: install rustup (https://rustup.rs), then run this again."
    fi
}

case $want in
    build) missing_for_building ;;
    test)
        missing_for_building
        missing_for_tests
        ;;
    *) die "expected 'build' or 'test', got '$want'." ;;
esac
trap 'rm -f "${TMPDIR:-/tmp}/kaflowsql-setup-$$"' EXIT
install_missing
rust_toolchain
if [ "$want" = test ]; then
    scripts/setup-python.sh
fi
