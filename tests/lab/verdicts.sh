# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Predictions of vmferry check, held against what then happens. On top of functions.sh and vmferry.sh.

old=pc-i440fx-7.2 # both QEMU 7.2 and 10.0 know it

# Devices of many kinds, none of which needs anything of the host.
many_devices="<controller type='scsi' model='virtio-scsi'/>
<controller type='virtio-serial'/>
<interface type='user'><model type='virtio'/></interface>
<interface type='user'><model type='e1000'/></interface>
<input type='keyboard' bus='virtio'/>
<watchdog model='i6300esb'/>
<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
<sound model='ich9'><codec type='duplex'/></sound>"

# A property that QEMU 7.2 does not have, put on the random numbers' device.
newer_property="<qemu:override><qemu:device alias='ua-r'><qemu:frontend>
<qemu:property name='x-pcie-pm-no-soft-reset' type='bool' value='false'/>
</qemu:frontend></qemu:device></qemu:override>"
random_numbers="<rng model='virtio'><backend model='random'>/dev/urandom</backend>
<alias name='ua-r'/></rng>"

# check GUEST FROM: findings into $work/findings; prints the verdict
check() {
    local status=0
    on "$2" vmferry check "$1" "$(other "$2")" --json >"$work/findings" || status=$?
    case $status in
    0) echo fine ;;
    1) echo no ;;
    3) echo possible ;;
    *) echo unknown ;;
    esac
}

# found SEVERITY...: names of such findings, one a line
found() {
    /usr/bin/python3 - "$work/findings" "$@" <<'END'
import json, sys
for finding in json.load(open(sys.argv[1])):
    if finding["Severity"] in sys.argv[2:]:
        print(finding["Name"])
END
}

# move GUEST FROM: whatever blocks is forced; prints moved or failed, why is in $work/why
move() {
    local force=() name
    while read -r name; do force+=(--force "$name"); done < <(found block)
    if on "$2" timeout 120 vmferry migrate --quiet "${force[@]}" "$1" "$(other "$2")" >&2 2>"$work/why"; then
        echo moved
    else
        cat "$work/why" >&2
        echo failed
    fi
}

# verdict FROM WANT NAME [GUEST OPTION...]: what is said of such a guest is WANT (no, possible, fine),
# NAME is among the findings ("-": none need be), and what happens is not against it
verdict() {
    local from=$1 want=$2 name=$3 said happened
    shift 3
    lab guest start counter v --on "$from" --memory 64M --filled 16M --set 4M --rate 500 "$@"
    said=$(check v "$from")
    assert_eq "$want" "$said" "verdict ($(found block warn | xargs))"
    [[ $name == - ]] || found block warn | grep -x -- "$name" || fail "no finding is called $name"
    happened=$(move v "$from")
    echo "$said: $happened"
    case $said,$happened in
    fine,moved | possible,moved) runs_only_on "$(other "$from")" v ;;
    possible,failed)
        [[ $name != - ]] || fail "it failed, and was not expected to"
        runs_only_on "$from" v
        ;;
    no,failed) runs_only_on "$from" v ;;
    *) fail "said $said, and it $happened" ;;
    esac
    nothing_left
    lab guest stop v
}

# Only that host runs vmferryd, and may send in the clear.
alone() {
    lab daemon "$(other "$1")" vmferryd stop
    on "$1" sh -c 'printf "[Security]\nAllowUnencrypted=true\n" >/etc/vmferry/vmferryd.conf'
    lab daemon "$1" vmferryd restart
}

together() {
    on "$1" rm /etc/vmferry/vmferryd.conf
    lab daemon "$1" vmferryd restart
    lab daemon "$(other "$1")" vmferryd start
}

# one_sided FROM moved|failed [GUEST OPTION...]: nobody can be asked about the destination, which is
# said; the engine is the one that needs nobody; and then it is as it is with both
one_sided() {
    local from=$1 want=$2 happened=moved
    shift 2
    alone "$from"
    lab guest start counter v --on "$from" --memory 64M --filled 16M --set 4M --rate 500 "$@"
    assert_eq unknown "$(check v "$from")"
    on "$from" timeout 120 vmferry migrate --quiet --unencrypted v "$(other "$from")" || happened=failed
    assert_eq "$want" "$happened"
    assert_eq one-sided "$(latest "$from" Engine)"
    if [[ $want == moved ]]; then from=$(other "$from"); fi
    runs_only_on "$from" v
    lab guest stop v
}

# A subsection that is really sent, and not known there, by its name.
stopped_by_name() {
    lab guest start counter v --on hostb --memory 64M --filled 16M --set 4M --rate 500 \
        --machine $old --levels
    assert_eq possible "$(check v hostb)"
    refused_on_the_way "sends subsection i8259/ltim of i8259, which the destination's QEMU does not know"
    # without the pump's word it is QEMU that fails, and at its end
    assert_fails_with 1 on hostb vmferry migrate --quiet --force subsection:i8259/ltim v hosta
    on hosta grep -q "error while loading state for instance 0x1 of device 'i8259'" \
        /var/log/libvirt/qemu/v.log
    runs_only_on hostb v
    nothing_left
    lab guest stop v
}

refused_on_the_way() {
    assert_contains "$1" "$(assert_fails_with 1 on hostb vmferry migrate --quiet v hosta)"
    # QEMU there was not asked to load what it cannot
    ! on hosta grep "error while loading state" /var/log/libvirt/qemu/v.log
    runs_only_on hostb v
}
