# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# shellcheck disable=SC2034 # the other parts use these
# What every part of the lab uses: names, folders, failing.

hosts='hosta hostb'
daemons='dbus libvirtd vmferryd'
lab_name=${LAB_NAME:-default}
lab_home='' lab_dir='' # lab_paths sets them

# What `lab up` was asked for.
up_rate=''
up_qemu_user=root
up_build=''
up_stage=''
up_newer=''        # the hosts with newer versions
up_newer_folder='' # where those are

die() {
    echo "lab: $*" >&2
    exit 1
}

die_usage() {
    echo "lab: $*; see 'lab --help'" >&2
    exit 2
}

# Sets lab_home (all labs of this user) and lab_dir (this one).
lab_paths() {
    [[ $lab_name =~ ^[a-z0-9][a-z0-9-]{0,19}$ ]] ||
        die "'$lab_name' is no name for a lab: use at most 20 of a-z, 0-9 and -"
    lab_home=${VMFERRY_LAB_DIR:-${TMPDIR:-/tmp}/vmferry-lab-$UID}
    lab_dir=$lab_home/$lab_name
}

# wait_until SECONDS COMMAND...: tries COMMAND often until it succeeds; fails after SECONDS.
# For the few things that tell nobody when they happen.
wait_until() {
    local deadline=$((${EPOCHREALTIME/./} + $1 * 1000000))
    shift
    until "$@"; do
        ((${EPOCHREALTIME/./} < deadline)) || return 1
        sleep 0.02
    done
}
