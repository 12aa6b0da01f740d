# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2154 # see common.sh
# Hosts: coming up, going down, and running something in one.

# host_pid HOST: its process 1 as seen from here; fails when the host is not up
host_pid() {
    local pid start stat
    [[ -s $lab_dir/$1/pid ]] || return 1
    read -r pid start <"$lab_dir/$1/pid"
    read -r stat 2>/dev/null <"/proc/$pid/stat" || return 1
    # shellcheck disable=SC2206 # words are what is wanted: field 22 is the start time
    local fields=(${stat##*)})
    [[ ${fields[0]} != Z && ${fields[19]} == "$start" ]] && echo "$pid"
}

host_root() {
    echo "/proc/$(host_pid "$1")/root"
}

host_known() {
    [[ ${1:-} == hosta || ${1:-} == hostb ]] || die_usage "'${1:-}' is no host: hosta or hostb"
}

lab_must_be_up() {
    if ! host_pid hosta >/dev/null || ! host_pid hostb >/dev/null; then
        die "lab '$lab_name' is not up: run 'lab up --name $lab_name'"
    fi
}

# hosts_named HOST|both
hosts_named() {
    if [[ $1 == both ]]; then
        echo "$hosts"
    else
        host_known "$1"
        echo "$1"
    fi
}

# host_enter HOST: sets `enter` to the words that run what follows them in the host.
# nsenter does not pass signals on; the parent's death signal ends the command with it. Without
# --root the command would leave a chroot that the machine is in.
host_enter() {
    local pid
    pid=$(host_pid "$1") || die "lab '$lab_name': $1 is not up"
    enter=(nsenter --target "$pid" --mount --uts --ipc --net --pid --root --wdns=/ --
        env --unset=DBUS_SYSTEM_BUS_ADDRESS --unset=DBUS_SESSION_BUS_ADDRESS --unset=NOTIFY_SOCKET
        --unset=XDG_RUNTIME_DIR --unset=LIBVIRT_DEFAULT_URI --unset=VIRSH_DEFAULT_CONNECT_URI
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        setpriv --pdeathsig TERM --)
}

on_host() {
    local enter
    host_enter "$1"
    "${enter[@]}" "${@:2}"
}

on_host_exec() {
    local enter
    host_known "${1:-}"
    (($# > 1)) || die_usage "on: no command"
    host_enter "$1"
    exec "${enter[@]}" "${@:2}"
}

host_daemon() {
    host_known "${1:-}"
    (($# == 3)) || die_usage "daemon: HOST, DAEMON and what to do"
    on_host "$1" /run/lab/dir/tools/host-daemon "$2" "$3"
}

host_start() {
    mkdir -p "$lab_dir/$1"
    # a copy for each: libvirt gives what a guest uses to QEMU's user
    install -D -m 644 "$lab_dir/tools/counter" "$lab_dir/$1/lib/libvirt/images/counter"
    "$lab_dir/tools/lab-host" "$lab_dir/$1/pid" \
        "$labsrc/host-setup" "$1" "$lab_dir" "$up_qemu_user" "$(host_newer "$1")" \
        >"$lab_dir/$1/setup.log" 2>&1 || die "$1 could not be set up"
}

# host_newer HOST: the folder with its QEMU and libvirt; nothing when it has the machine's
host_newer() {
    [[ " $up_newer " != *" $1 "* ]] || echo "$up_newer_folder"
}

# vmferryd runs where it is installed; before vmferry installs anything, the lab is still of use.
host_start_daemons() {
    local daemon
    for daemon in $daemons; do
        [[ $daemon != vmferryd || -x $(host_root "$1")/usr/sbin/vmferryd ]] || continue
        host_daemon "$1" "$daemon" start || die "$daemon did not start on $1"
    done
}

# Killing process 1 ends every process of the host, and the rest goes with the last of them.
host_stop() {
    local pid
    pid=$(host_pid "$1") || return 0
    kill -KILL "$pid"
    wait_until 20 host_is_gone "$1" || die "$1 (pid $pid) does not end"
}

host_is_gone() {
    ! host_pid "$1" >/dev/null
}

# host_logs [HOST]
host_logs() {
    local host
    for host in ${1:-$hosts}; do
        host_known "$host"
        [[ -d $lab_dir/$host ]] || continue
        find "$lab_dir/$host" -name '*.log' -size +0 -exec tail -n "${LAB_LOG_LINES:-20}" -v {} +
    done
}

lab_up() {
    [[ $UID == 0 ]] || die "the lab needs root: use sudo"
    id "$up_qemu_user" >/dev/null 2>&1 || die "no such user: $up_qemu_user"
    if [[ -n $up_newer ]]; then
        up_newer_folder=$("$labsrc/newer") || die "there is no newer QEMU and libvirt (why is said above)"
    fi
    mkdir -p "$lab_home"
    mkdir "$lab_dir" 2>/dev/null ||
        die "lab '$lab_name' is up already, or was left over: run 'lab down --name $lab_name'"
    chmod 755 "$lab_home" "$lab_dir"
    trap lab_up_failed EXIT
    trap 'exit 130' INT TERM HUP
    mkdir "$lab_dir/guests"
    stage_make "$up_build" "$up_stage"
    stage_tools "$up_build"
    cp "$labsrc/host-daemon" "$labsrc/../../data/vmferryd.service.in" "$lab_dir/tools/"
    echo "$up_qemu_user" >"$lab_dir/qemu-user"
    lab_start
    trap - EXIT INT TERM HUP
}

lab_start() {
    local host
    for host in $hosts; do
        host_start "$host"
    done
    net_up
    [[ -z $up_rate ]] || net_rate "$up_rate"
    certs_up
    for host in $hosts; do
        host_start_daemons "$host"
    done
}

lab_up_failed() {
    local status=$?
    trap - EXIT
    if ((status > 128)); then
        echo "lab: interrupted; '$lab_name' was taken down again"
    else
        host_logs
        echo "lab: '$lab_name' did not come up (its logs are above); it was taken down again"
    fi >&2
    lab_down
    exit "$status"
}

lab_down() {
    local host
    [[ -d $lab_dir ]] || echo "lab: '$lab_name' was not up" >&2
    for host in $hosts; do
        host_stop "$host"
    done
    rm -rf --one-file-system "$lab_dir"
    rmdir "$lab_home" 2>/dev/null || true
}
