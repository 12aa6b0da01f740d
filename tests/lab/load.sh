# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Many migrations at once, while strangers are at the port and clients on the bus; for test-load and
# load, on top of vmferry.sh.

build=${VMFERRY_BUILD:-$labtests/../../build}

# prepare_hosts BUDGET MIGRATIONS: MiB for all pumps of a host, and how many there may be; a main loop
# that is held up for 50 ms is told of. Each migration takes one of libvirtd's workers while it lasts.
prepare_hosts() {
    local host
    for host in hosta hostb; do
        on $host sh -c "printf 'max_workers = 200\n' >>/etc/libvirt/libvirtd.conf &&
            printf '[Limits]\nMigrations=$2\nMemoryBudget=$1\n' >/etc/vmferry/vmferryd.conf"
        lab daemon $host libvirtd restart
        VMFERRY_WATCHDOG_MS=50 lab daemon $host vmferryd restart
    done
}

# start_guests COUNT: g1 and so on, small ones that nearly rest; some at once
start_guests() {
    local i
    for ((i = 1; i <= $1; i++)); do
        lab guest start counter "g$i" --on hosta --memory 24M --filled 6M --set 256K --rate 20 \
            --verify 512 --hertz 20 --seed "$i" >/dev/null &
        ((i % 4)) || wait
    done
    wait
}

# swarm_out HOST ADDRESS SECONDS CONNECTIONS CLIENTS
swarm_out() {
    on "$1" "$build/tests/lab/swarm" --seconds "$3" --connections "$4" --clients "$5" "$2" 16530
}

# move_all COUNT: all at once; fails if one does
move_all() {
    local i jobs=()
    for ((i = 1; i <= $1; i++)); do
        on hosta vmferry migrate --quiet "g$i" hostb >"$work/moved.$i" 2>&1 &
        jobs+=($!)
    done
    for i in "${!jobs[@]}"; do
        wait "${jobs[i]}" || fail "g$((i + 1)): $(cat "$work/moved.$((i + 1))")"
    done
}

# check_guests COUNT: they have come, once, and are right; they wait for a processor now and then
check_guests() {
    local i jobs=()
    for ((i = 1; i <= $1; i++)); do
        lab guest check "g$i" --wait-sweep --max-gap 120000 >"$work/checked.$i" 2>&1 &
        jobs+=($!)
        ((i < 8)) || wait -n || true # so many at once
    done
    for i in "${!jobs[@]}"; do
        wait "${jobs[i]}" || fail "g$((i + 1)): $(cat "$work/checked.$((i + 1))")"
    done
    assert_eq "$1" "$(on hostb virsh -q list --name | grep -c '^g')" "guests at the destination"
    assert_eq 0 "$(on hosta virsh -q list --name | grep -c '^g' || true)" "guests at the source"
}

# watch_hosts COMMAND...: while COMMAND runs; what was seen is in $work/seen.HOST
watch_hosts() {
    local host status=0
    for host in hosta hostb; do
        mkfifo "$work/until.$host"
        on $host "$labtests/load-watch" <"$work/until.$host" >"$work/seen.$host" &
    done
    exec 7>"$work/until.hosta" 8>"$work/until.hostb"
    "$@" 7>&- 8>&- || status=$?
    exec 7>&- 8>&-
    for host in hosta hostb; do
        wait_until 20 test -s "$work/seen.$host"
        rm "$work/until.$host"
        echo "# $host: $(cat "$work/seen.$host")" >>"$work/shown"
    done
    return $status
}

# stays_within BUDGET: what both hosts' pumps took and were granted
stays_within() {
    local host
    for host in hosta hostb; do
        /usr/bin/python3 - "$1" "$work/seen.$host" <<'END' || fail "$host: $(cat "$work/seen.$host")"
import json, sys
budget, seen = int(sys.argv[1]), json.load(open(sys.argv[2]))
sys.exit(not 0 < seen["pss"] <= seen["granted"] <= budget)
END
    done
}

# status_is_quick SECONDS: at its slowest
status_is_quick() {
    local host
    for host in hosta hostb; do
        /usr/bin/python3 -c 'import sys; sys.exit(float(sys.argv[1]) > float(sys.argv[2]))' \
            "$(json_get "$work/seen.$host" status_s_worst)" "$1" || fail "$host: $(cat "$work/seen.$host")"
    done
}

# The watchdog of each daemon says when it was held up, and at its end, how often.
never_held_up() {
    local host
    lab_name=$LAB_NAME
    lab_paths
    for host in hosta hostb; do
        lab daemon $host vmferryd stop
        grep 'main loop was held up' "$lab_dir/$host/vmferryd.log" | sed "s/^/# $host: /" >>"$work/shown"
        assert_eq "" "$(grep 'was held up for' "$lab_dir/$host/vmferryd.log" || true)" "stalls of $host"
        lab daemon $host vmferryd start
    done
}

# ---- the link between them ----

# carried FILE: what of each migration has gone over the wire so far
carried() {
    migrations hosta >"$1"
}

# all_carry COUNT: so many have sent a MiB or more
all_carry() {
    (($(migrations hosta | /usr/bin/python3 -c '
import json, sys
print(sum(m["State"] == "running" and m["BytesOnWire"] > 1 << 20 for m in json.load(sys.stdin)))') >= $1))
}

# shared_fairly COUNT SECONDS: guests that are equal, and more than the link carries in that time; none
# has more than one and a half times what another has
shared_fairly() {
    local i jobs=() status=0
    for ((i = 1; i <= $1; i++)); do
        lab guest start counter "f$i" --on hosta --memory 112M --filled 96M --set 256K --rate 20 \
            --verify 512 --hertz 20 --seed "$i" >/dev/null
    done
    for ((i = 1; i <= $1; i++)); do
        on hosta vmferry migrate --quiet "f$i" hostb >/dev/null 2>&1 &
        jobs+=($!)
    done
    wait_until 60 all_carry "$1"
    carried "$work/before"
    sleep "$2"
    carried "$work/after"
    /usr/bin/python3 - "$work/before" "$work/after" "$1" >>"$work/shown" <<'END' || status=$?
import json, sys
before, after = ({m["Id"]: m for m in json.load(open(path))} for path in sys.argv[1:3])
running = [m for m in after.values() if m["State"] == "running"]
gone = sorted(m["BytesOnWire"] - before[m["Id"]]["BytesOnWire"] for m in running)
print("# MiB of each:", " ".join(f"{each / (1 << 20):.1f}" for each in gone),
      f"- ratio {gone[-1] / max(gone[0], 1):.2f}")
sys.exit(len(gone) != int(sys.argv[3]) or gone[-1] > 1.5 * gone[0])
END
    kill "${jobs[@]}" 2>/dev/null || true
    wait "${jobs[@]}" || true
    ((status == 0)) || fail "$(tail -n 1 "$work/shown")"
}
