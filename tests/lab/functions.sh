# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# What lab tests share. Source it, define cases as functions, run each with lab_case, end with
# lab_done:
#
#   . "$(dirname "$0")/functions.sh"
#   guest_survives() {
#       lab guest start counter g --on hosta --rate 2000
#       on hosta virsh migrate --live g qemu+tcp://hostb/system
#       lab guest check g --wait-sweep
#       lab guest stop g
#   }
#   lab_up --rate 400mbit
#   lab_case "a guest survives a plain migration" guest_survives
#   lab_done
#
# A case fails at its first command that fails. Its output is shown then, as lines with "#".
# The labs that lab_up made are taken down at the end, however that comes.

set -euo pipefail

labtests=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
# shellcheck source=lib/common.sh
. "$labtests/lib/common.sh" # wait_until SECONDS COMMAND...

: "${LAB_NAME:=$(basename "$0" | cut -c1-12)-$$}"
export LAB_NAME
labs_of_test=()
case_number=0
case_failures=0
work=$(mktemp -d)

# The lab, with the name of this test's unless --name says otherwise.
lab() {
    "$labtests/lab" "$@"
}

on() {
    lab on "$@"
}

# lab_up [OPTION...]: `lab up`, taken down when the test ends
lab_up() {
    labs_of_test+=("$LAB_NAME")
    lab up "$@"
}

# virsh_there_and_back GUEST [VIRSH OPTION...]: to hostb and back by libvirt alone, right each time
virsh_there_and_back() {
    local guest=$1
    shift
    on hosta virsh -q migrate --live "$guest" qemu+tcp://hostb/system "$@"
    lab guest check "$guest" --wait-sweep
    on hostb virsh -q migrate --live "$guest" qemu+tcp://hosta/system "$@"
    lab guest check "$guest" --wait-sweep
}

lab_clean_up() {
    local name status=$?
    trap - EXIT INT TERM HUP
    for name in "${labs_of_test[@]}"; do
        lab down --name "$name" || status=1
    done
    rm -rf "$work"
    exit "$status"
}
trap lab_clean_up EXIT
trap 'exit 130' INT TERM HUP

# lab_case TITLE COMMAND...: runs COMMAND, a function mostly, as one case; the test goes on anyhow
lab_case() {
    local title=$1 log=$work/case.log status=0 began=${EPOCHREALTIME/./} took
    shift
    case_number=$((case_number + 1))
    # not in a condition, or bash would ignore failing commands in the case
    set +e
    (
        set -e
        trap - EXIT
        "$@"
    ) >"$log" 2>&1 </dev/null
    status=$?
    set -e
    took=$(((${EPOCHREALTIME/./} - began) / 1000))
    if ((status == 0)); then
        echo "ok $case_number - $title # $took ms"
    else
        case_failures=$((case_failures + 1))
        echo "not ok $case_number - $title"
        tail -n 60 "$log" | sed 's/^/# /'
        echo "# exit status $status"
        lab_show_logs
        lab_clear_guests
    fi
}

lab_show_logs() {
    local log
    lab_name=$LAB_NAME
    lab_paths
    for log in "$lab_dir"/host?/vmferryd.log; do
        [[ ! -s $log ]] || tail -n 15 -v "$log" | sed 's/^/# /'
    done
}

# What a failed case left must not fail the next one.
lab_clear_guests() {
    ((${#labs_of_test[@]} == 0)) || lab guest stop --all >/dev/null 2>&1 || true
}

# lab_skip TITLE WHY: a case that cannot run here
lab_skip() {
    case_number=$((case_number + 1))
    echo "ok $case_number - $1 # SKIP $2"
}

# can_have SCRIPT: whether what it fetches can be had here; if not, $work/why says why
can_have() {
    local status=0
    "$labtests/$1" >/dev/null 2>"$work/why" || status=$?
    ((status != 77)) # anything else that is wrong will show
}

# The last line of a test.
lab_done() {
    echo "1..$case_number"
    ((case_failures == 0)) || exit 1
    exit 0
}

fail() {
    echo "$*" >&2
    return 1
}

# assert_eq WANT HAVE [WHAT]
assert_eq() {
    [[ $1 == "$2" ]] || fail "${3:-value}: want '$1', have '$2'"
}

# assert_between LOW HIGH HAVE [WHAT]: integers
assert_between() {
    (($1 <= $3 && $3 <= $2)) || fail "${4:-value}: want $1 to $2, have $3"
}

# assert_contains PART TEXT [WHAT]
assert_contains() {
    [[ $2 == *"$1"* ]] || fail "${3:-text} lacks '$1': $2"
}

# assert_fails_with STATUS COMMAND...: prints what COMMAND said, both streams
assert_fails_with() {
    local want=$1 status=0
    shift
    "$@" 2>&1 || status=$?
    assert_eq "$want" "$status" "exit status of '$*'"
}

# json_get FILE PATH: one value of a JSON file, for example json_get out switches.0.gap_ms
json_get() {
    /usr/bin/python3 - "$1" "$2" <<'END'
import json, sys
value = json.load(open(sys.argv[1]))
for key in sys.argv[2].split("."):
    value = value[int(key)] if isinstance(value, list) else value[key]
print(value if isinstance(value, str) else json.dumps(value))
END
}
