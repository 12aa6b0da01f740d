# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# What the lab tests of vmferry itself share, on top of functions.sh.

other() {
    [[ $1 == hosta ]] && echo hostb || echo hosta
}

# counter NAME HOST [OPTION...]: a small busy guest
counter() {
    local name=$1 host=$2
    shift 2
    lab guest start counter "$name" --on "$host" --memory 96M --filled 48M --set 16M \
        --rate 3000 "$@"
}

# migrate GUEST FROM [OPTION...]: to the other host, and the guest is right afterwards
migrate() {
    local guest=$1 from=$2
    shift 2
    on "$from" vmferry migrate "$@" "$guest" "$(other "$from")"
    lab guest check "$guest" --wait-sweep >&2
}

# migrations HOST: the properties of all migrations the daemon of HOST knows, as JSON
migrations() {
    on "$1" vmferry status --json
}

# latest HOST PROPERTY: of the migration that started last; nothing if there is none
latest() {
    migrations "$1" | /usr/bin/python3 -c '
import json, sys
found = json.load(sys.stdin)
if not found:
    sys.exit()
value = found[-1]
for key in sys.argv[1].split("."):
    value = value[key]
print(value)' "$2"
}

latest_is() {
    [[ $(latest "$1" "$2") == "$3" ]]
}

# The latest migration from hosta is on its way.
carries_bytes() {
    local bytes
    latest_is hosta State running || return 1
    bytes=$(latest hosta BytesFromQemu)
    ((${bytes:-0} > 1000000))
}

# pumps HOST: how many run there
pumps() {
    on "$1" pgrep -c -x vmferry-pump || true
}

# standing HOST: the sockets that are to stand open there, two for each guest that runs
standing() {
    local guest path
    while read -r guest; do
        [[ -n $guest ]] || continue
        path=$(on "$1" vmferry socket "$guest" "$(other "$1")") || return 1
        printf '%s\n' "$path" "${path%.sock}.nbd"
    done < <(on "$1" virsh -q list --name)
}

# sockets_stand HOST: those, and no others
sockets_stand() {
    local want
    want=$(standing "$1" 2>/dev/null) &&
        diff <(sort <<<"$want" | sed '/^$/d') <(on "$1" find /run/vmferry -type s | sort) >&2
}

# What no ended migration may leave on either host.
nothing_left() {
    local host
    for host in hosta hostb; do
        wait_until 5 no_pumps "$host" || fail "$host: a pump still runs"
        wait_until 5 sockets_stand "$host" 2>/dev/null ||
            fail "$host: has $(on "$host" find /run/vmferry -type s), wants $(standing "$host")"
    done
}

no_pumps() {
    [[ $(pumps "$1") == 0 ]]
}

# runs_only_on HOST GUEST: alive here, absent there, and right
runs_only_on() {
    local there
    there=$(other "$1")
    assert_eq running "$(on "$1" virsh -q domstate "$2" | head -n 1)" "state on $1"
    assert_eq "" "$(on "$there" virsh -q list --name | grep -x "$2" || true)" "guest on $there"
    lab guest check "$2" --wait-sweep
}

# refused_as NAME TEXT STATUS COMMAND...: the command fails with STATUS and TEXT; the latest
# migration of hosta, if it got so far (NAME not "-"), bears the error NAME
refused_as() {
    local name=$1 text=$2 status=$3
    shift 3
    assert_contains "$text" "$(assert_fails_with "$status" "$@")"
    [[ $name == - ]] || assert_eq "org.vmferry1.Error.$name" "$(latest hosta Error.Name)"
}
