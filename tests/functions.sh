# SPDX-License-Identifier: LGPL-2.1-or-later
# What tests/run, tests/demo, tests/campaign and the benches share. Sourced; bash.

TESTS=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
SOURCE=$(dirname "$TESTS")

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

need_root() {
    [ "$(id -u)" = 0 ] || die "the lab needs root: run it as sudo tests/${0##*/}"
}

# The packages of tests/packages that this machine lacks.
missing_packages() {
    local package
    sed 's/#.*//; /^[[:space:]]*$/d' "$TESTS/packages" | while read -r package; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            echo "$package"
    done
}

install_packages() {
    local missing log
    mapfile -t missing < <(missing_packages)
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "install these first: ${missing[*]}"
    echo "installing ${#missing[@]} packages: ${missing[*]}"
    log=$(mktemp)
    export DEBIAN_FRONTEND=noninteractive
    if ! { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } \
        >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        die "the packages could not be installed; apt-get's last words are above"
    fi
    rm -f "$log"
}

# build DIR [MESON-OPTION...]: configures DIR the first time, then builds; quiet unless it fails.
build() {
    local dir=$1 log
    shift
    log=$(mktemp)
    if ! { { [ -f "$dir/build.ninja" ] || meson setup "$dir" "$SOURCE" --prefix=/usr \
        -Dwerror=true "$@"; } && ninja -C "$dir"; } >"$log" 2>&1 </dev/null; then
        cat "$log" >&2
        rm -f "$log"
        die "the build failed; see above"
    fi
    rm -f "$log"
}
