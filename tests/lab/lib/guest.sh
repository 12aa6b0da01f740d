# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2154 # see common.sh
# Guests. Their serial ports go to a stamper in each host; the logs are in LABDIR/guests/NAME.

guest_usage() {
    cat <<'END'
usage: lab guest start KIND NAME --on HOST [OPTION...]
       lab guest check NAME [--max-gap MS] [--wait-sweep] [--json]
       lab guest logs NAME      prints the folder with what it said, stamped
       lab guest stop NAME|--all

Every guest fills its memory, changes it, and verifies all of it all the time.

  counter               bare metal, ready in less than a second; rests unless --rate is given
  incompressible        the same, with whole pages of new random content
  phases                the same; working set, pace and content are others every few seconds
  idle                  Linux, which rests
  redis                 Linux and Redis with values like real data, which a client reads and changes

  --memory SIZE         of the guest; default 256M, for redis 768M
  --filled SIZE         how much of it has content; for redis half of its memory
  --set SIZE            working set: how much of that it keeps changing
  --rate N|max          pages it changes per second, for redis operations; 0: none, the guest rests
  --pattern counter     one counter in each page of the set
            words       16 words in each page, others each time
            page        whole pages of new random content
            hotcold     words, 7 of 8 in an eighth of the set
            phases      the set moves on every four rounds, every other phase is slow; words or
                        whole pages, random or text in turns
  --fill random|text|zero
                        what it is filled with at first; default random
  --verify N|max|none   pages (redis: values) it sweeps over per second, besides those it changes;
                        default 32768, or 4096 for a guest that rests, or 2048 for redis
  --seed N              of all content
  --machine TYPE        default pc
  --disk SIZE           a virtio disk, of its own in each host; the guest does not use it
  --hertz N             (bare metal) it wakes up that often per second, 19 to 1000, and beats as often
                        at most: many that rest take little of a processor; default 1000
  --persistent          define it, then start it
  --paused              leave it paused before its first instruction
  --levels              (bare metal) program the second interrupt controller for levels: QEMU from 8.0
                        on then sends a subsection that older ones do not know
  --devices XML         further elements of <devices>
  --override XML        further elements of <domain>, such as qemu:override

The content of redis is its own: no --set, --pattern or --fill.
END
}

cmd_guest() {
    local action=${1:-}
    shift || true
    case $action in
    start) lab_must_be_up && guest_start "$@" ;;
    check) guest_check "$@" ;;
    logs) guest_known "${1:-}" && echo "$lab_dir/guests/$1" ;;
    stop) lab_must_be_up && guest_stop_all "$@" ;;
    -h | --help) guest_usage ;;
    *) die_usage "guest: start, check, logs or stop" ;;
    esac
}

guest_known() {
    [[ ${1:-} =~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,40}$ && -d $lab_dir/guests/$1 ]] ||
        die "there is no guest '${1:-}' in lab '$lab_name'"
}

# guest_pages SIZE: in pages of 4 KiB
guest_pages() {
    local bytes
    bytes=$(numfmt --from=iec "$1" 2>/dev/null) || die "'$1' is no size: use for example 100M"
    echo $((bytes / 4096))
}

# guest_number NAME=VALUE... WORD: the value of WORD, or WORD itself when it is a number
guest_number() {
    local word=${!#} pair
    for pair in "${@:1:$#-1}"; do
        [[ ${pair%%=*} != "$word" ]] || word=${pair#*=}
    done
    [[ $word =~ ^[0-9]+$ ]] || die "'$word' is not known: use one of ${*%%=*}"
    echo "$word"
}

# Sets the variables of guest_start to what is usual for the kind.
guest_defaults() {
    levels='' devices='' override='' hertz=''
    memory=256M filled=100M set=64M rate=0 pattern=counter fill=random verify='' image=counter
    case $1 in
    counter) ;;
    incompressible) filled=128M set=128M rate=2000 pattern=page ;;
    phases) filled=160M set=32M rate=8000 pattern=phases ;;
    idle) filled=64M image=linux ;;
    redis) memory=768M filled='' set=1M rate=2000 verify=2048 image=linux ;;
    *) die_usage "guest start: unknown kind '$1': counter, incompressible, phases, idle or redis" ;;
    esac
}

# Sets the variables of guest_start from its options.
guest_options() {
    while (($#)); do
        [[ $kind != redis || $1 != --@(set|pattern|fill) ]] || die_usage "guest start: redis has no $1"
        case $1 in
        --on | --memory | --filled | --set | --rate | --pattern | --fill | --verify | --seed | \
            --machine | --disk | --devices | --override | --hertz)
            (($# > 1)) || die_usage "guest start: $1 needs a value"
            printf -v "${1#--}" %s "$2"
            shift 2
            ;;
        --persistent | --paused | --levels)
            printf -v "${1#--}" %s yes
            shift
            ;;
        *) die_usage "guest start: unknown option $1" ;;
        esac
    done
    host_known "$on"
    [[ -n $filled ]] || filled=$(($(guest_pages "$memory") / 2 * 4096))
}

# Sets command_line: numbers only, sizes in pages.
guest_command_line() {
    local always=4294967295 set_pages filled_pages visits sweeps changes contents
    set_pages=$(guest_pages "$set")
    filled_pages=$(guest_pages "$filled")
    filled_pages=$((filled_pages > set_pages ? filled_pages : set_pages))
    [[ -n $verify ]] || verify=$([[ $rate == 0 ]] && echo 4096 || echo 32768)
    [[ $verify != 0 ]] || die "--verify 0 could mean two things: say max or none"
    visits=$(guest_number max=$always "$rate")
    sweeps=$(guest_number max=$always none=0 "$verify")
    changes=$(guest_number counter=0 words=1 page=2 hotcold=3 phases=4 "$pattern")
    contents=$(guest_number random=0 text=1 zero=2 "$fill")
    command_line="set=$set_pages filled=$filled_pages rate=$visits verify=$sweeps"
    command_line+=" pattern=$changes fill=$contents seed=$seed"
    [[ -z $levels ]] || command_line+=" levels=1"
    [[ -z $hertz ]] || command_line+=" hertz=$hertz"
    # Linux hands words it does not know to its first process
    [[ $image != linux ]] || command_line="quiet console=ttyS1 kind=$kind $command_line"
}

guest_xml() {
    local name=$1 kib
    kib=$(($(guest_pages "$memory") * 4))
    cat <<-END
	<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
	  <name>$name</name>
	  <memory unit='KiB'>$kib</memory>
	  <vcpu>1</vcpu>
	  <os>
	    <type arch='x86_64' machine='$machine'>hvm</type>
	    $(guest_xml_image)
	    <cmdline>$command_line</cmdline>
	  </os>
	  <features><acpi/></features>
	  <devices>
	    <emulator>/usr/bin/qemu-system-x86_64</emulator>
	    $(guest_xml_disk "$name")
	    <controller type='usb' model='none'/>
	    <serial type='unix'>
	      <source mode='connect' path='/run/lab/$name.sock'/>
	    </serial>
	    $(guest_xml_console "$name")
	    $devices
	    <video><model type='none'/></video>
	    <memballoon model='none'/>
	  </devices>
	  $override
	  $(guest_xml_memory $kib)
	</domain>
	END
}

# Two pages more than a multiple of 64: QEMU then collects its dirty bits page by page, and loses
# none (README.md, "A slip of QEMU").
guest_xml_memory() {
    local bytes=$((($1 + 8) * 1024)) arg
    echo "<qemu:commandline>"
    for arg in -object "memory-backend-ram,id=guest.ram,size=$bytes" \
        -machine memory-backend=guest.ram -m "${bytes}B"; do
        echo "<qemu:arg value='$arg'/>"
    done
    echo "</qemu:commandline>"
}

guest_xml_image() {
    local images=/var/lib/libvirt/images
    if [[ $image == linux ]]; then
        echo "<kernel>$images/vmlinuz</kernel><initrd>$images/initramfs</initrd>"
    else
        echo "<kernel>$images/$image</kernel>"
    fi
}

# Where Linux complains: a file of both hosts.
guest_xml_console() {
    [[ $image != linux ]] || echo "<serial type='file'>
	      <source path='/run/lab/dir/guests/$1/console' append='on'/>
	    </serial>"
}

guest_xml_disk() {
    [[ -z $disk ]] || echo "<disk type='file'>
	      <driver name='qemu' type='raw' cache='none'/>
	      <source file='/var/lib/libvirt/images/$1.img'/>
	      <target dev='vda' bus='virtio'/>
	    </disk>"
}

# What the guest needs in both hosts, wherever it is.
guest_prepare() {
    local name=$1 host
    install -m 666 /dev/null "$lab_dir/guests/$name/console"
    for host in $hosts; do
        [[ $image != linux ]] || linux_install "$host"
        [[ -z $disk ]] || on_host "$host" truncate -s "$disk" "/var/lib/libvirt/images/$name.img"
        on_host "$host" /run/lab/dir/tools/stamp "/run/lab/$name.sock" \
            "/run/lab/dir/guests/$name/$host" >"$lab_dir/guests/$name/$host.stamp"
    done
}

guest_start() {
    local kind=${1:-} name=${2:-} on='' seed=1 machine=pc disk='' persistent='' paused=''
    local memory filled set rate pattern fill verify image levels devices override hertz
    local command_line dir=$lab_dir/guests/$name began=${EPOCHREALTIME/./}
    [[ $name =~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,40}$ ]] || die "'$name' is no name for a guest"
    guest_defaults "$kind"
    guest_options "${@:3}"
    guest_command_line
    mkdir "$dir" 2>/dev/null || die "there is a guest '$name' already"
    trap 'guest_start_failed "$name"' EXIT

    guest_prepare "$name"
    guest_xml "$name" >"$dir/domain.xml"
    guest_launch "$name"
    [[ -n $paused ]] || guest_wait_ready "$name"
    trap - EXIT
    echo "$name is ready on $on after $(((${EPOCHREALTIME/./} - began) / 1000)) ms"
}

guest_launch() {
    local xml=/run/lab/dir/guests/$1/domain.xml pause=()
    [[ -z $paused ]] || pause=(--paused)
    if [[ -n $persistent ]]; then
        on_host "$on" virsh -q define "$xml"
        on_host "$on" virsh -q start "${pause[@]}" "$1"
    else
        on_host "$on" virsh -q create "${pause[@]}" "$xml"
    fi >"$lab_dir/guests/$1/virsh.log" || die "libvirt could not start '$1'"
}

# READY is the line R; an X says why the guest cannot.
guest_wait_ready() {
    local log=$lab_dir/guests/$1/$on.1.log
    wait_until 120 grep -qs ' [RX] ' "$log" || die "'$1' was not ready within 120 s
$(tail -n 5 "$lab_dir/guests/$1/console")"
    ! grep -h -o 'X .*' "$log" >&2 || die "'$1' could not start (it said why, above)"
}

guest_start_failed() {
    trap - EXIT
    guest_stop "$1"
    exit 1
}

guest_check() {
    case ${1:-} in
    -h | --help) exec "$labsrc/guest-check" --help ;;
    esac
    guest_known "${1:-}"
    lab_must_be_up
    exec "$labsrc/guest-check" --lab "$labsrc/lab" --lab-name "$lab_name" \
        --logs "$lab_dir/guests/$1" "$@"
}

guest_stop_all() {
    local name
    if [[ ${1:-} != --all ]]; then
        guest_known "${1:-}"
        guest_stop "$1"
    else
        for name in "$lab_dir"/guests/*; do
            [[ ! -d $name ]] || guest_stop "${name##*/}"
        done
    fi
}

guest_stop() {
    local name=$1 host pid
    for host in $hosts; do
        on_host "$host" virsh -q destroy "$name" || true
        on_host "$host" virsh -q undefine "$name" || true
        if [[ -s $lab_dir/guests/$name/$host.stamp ]]; then
            pid=$(<"$lab_dir/guests/$name/$host.stamp")
            on_host "$host" kill "$pid" || true
        fi
        on_host "$host" rm -f "/run/lab/$name.sock" "/var/lib/libvirt/images/$name.img"
    done >/dev/null 2>&1
    rm -rf "$lab_dir/guests/$name"
}
