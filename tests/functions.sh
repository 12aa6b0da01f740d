# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# What tests/run, tests/demo, tests/campaign and the benches share. Sourced; bash.

TESTS=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
SOURCE=$(dirname "$TESTS")

die() {
    echo "tests/${0##*/}: $*" >&2
    exit 1
}

die_usage() {
    echo "tests/${0##*/}: $*; see tests/${0##*/} --help" >&2
    exit 2
}

need_root() {
    [ "$(id -u)" = 0 ] || die "the lab needs root: run it as sudo tests/${0##*/}"
}

# missing_packages [PACKAGE...]: those of tests/packages, and these, that this machine lacks.
missing_packages() {
    local package
    {
        sed 's/#.*//; /^[[:space:]]*$/d' "$TESTS/packages"
        [ $# = 0 ] || printf '%s\n' "$@"
    } | while read -r package; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            echo "$package"
    done
}

# install_packages [PACKAGE...]: as missing_packages has it.
install_packages() {
    local missing said
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "install these first: ${missing[*]}"
    echo "installing ${#missing[@]} packages: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    if ! said=$({ apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } \
        2>&1 </dev/null); then
        tail -n 20 <<<"$said" >&2
        die "the packages could not be installed; apt-get's last words are above"
    fi
}

# attend COMMAND...: runs it in a process group of its own, which ends with this script. Bash would
# let a signal wait until COMMAND is over.
attend() {
    attend_begin "$@"
    attend_any "$begun"
}

# attend_begin COMMAND...: likewise, in the background; its pid in $begun
declare -A attended=()
attend_begin() {
    set -m
    "$@" </dev/null &
    set +m
    begun=$!
    attended[$begun]=1
}

# attend_any [PID...]: waits for the end of one of these, or of whatever was begun; which one it was
# in $over, and its exit status
attend_any() {
    local status=0
    [ $# -gt 0 ] || set -- "${!attended[@]}"
    wait -n -p over "$@" || status=$?
    unset "attended[$over]"
    return "$status"
}

# exit_cleanly COMMAND: runs COMMAND when this script ends, however that comes, once what is attended
# has ended. The exit status stays.
exit_cleanly() {
    local signal
    at_exit=$1
    trap clean_exit EXIT
    for signal in INT TERM HUP; do
        # shellcheck disable=SC2064 # the status is known now
        trap "exit $((128 + $(kill -l "$signal")))" "$signal"
    done
}

clean_exit() {
    local status=$?
    trap - EXIT
    trap '' INT TERM HUP
    end_attended
    "$at_exit"
    exit "$status"
}

end_attended() {
    local pid
    for pid in "${!attended[@]}"; do
        kill -TERM -- "-$pid" 2>/dev/null || true
    done
    [ ${#attended[@]} = 0 ] || wait "${!attended[@]}" || true
}

# build DIR [MESON-OPTION...]: configures DIR the first time, then builds; quiet unless it fails.
build() {
    mkdir -p "$1"
    if ! attend build_verbosely "$@" >"$1/build.log" 2>&1; then
        cat "$1/build.log" >&2
        die "the build failed; see above"
    fi
}

build_verbosely() {
    [ -f "$1/build.ninja" ] ||
        meson setup "$1" "$SOURCE" --prefix=/usr -Dwerror=true "${@:2}" || return
    ninja -C "$1"
}

exit_cleanly true
