# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2154 # see common.sh
# The link between the hosts: a veth pair, mig0 in each, with a token bucket at both ends. The hosts'
# names are IPv4's; IPv6 is there for who asks for it.

net_up() {
    local a b
    a=$(host_pid hosta)
    b=$(host_pid hostb)
    ip link add name mig0 netns "$a" type veth peer name mig0 netns "$b"
    on_host hosta ip addr add 10.9.0.1/24 dev mig0
    on_host hostb ip addr add 10.9.0.2/24 dev mig0
    on_host hosta ip addr add fd00:9::1/64 dev mig0 nodad
    on_host hostb ip addr add fd00:9::2/64 dev mig0 nodad
    on_host hosta ip link set mig0 up
    on_host hostb ip link set mig0 up
}

# net_burst RATE: bytes the bucket holds: 5 ms, but never less than a few of the kernel's 64 KiB segments
net_burst() {
    local bits burst
    bits=$(numfmt --from=si "$(sed -E 's/([kmgt]?)bit$/\U\1/' <<<"$1")" 2>/dev/null) ||
        die "'$1' is no rate: use a number and kbit, mbit or gbit"
    burst=$((bits / 8 / 200))
    echo $((burst > 262144 ? burst : 262144))
}

# net_rate RATE|none
net_rate() {
    local host burst
    [[ $1 == none ]] || burst=$(net_burst "$1")
    for host in $hosts; do
        if [[ $1 != none ]]; then
            on_host "$host" tc qdisc replace dev mig0 root tbf rate "$1" burst "$burst" latency 50ms
        elif on_host "$host" tc qdisc show dev mig0 | grep -q tbf; then
            on_host "$host" tc qdisc del dev mig0 root
        fi
    done
}

relay_port=16531

# net_relay delay|damage N|none: each vmferryd dials its peer by way of a relay in its own host
net_relay() {
    local host peer pid=$lab_dir/relay
    [[ $2 == none || $2 =~ ^[0-9]{1,4}$ ]] || die "$1: '$2' is no number of up to four digits"
    for host in $hosts; do
        peer=hosta
        [[ $host != hosta ]] || peer=hostb
        [[ ! -s $pid.$host ]] || on_host "$host" kill "$(<"$pid.$host")"
        rm -f "$pid.$host"
        if [[ $2 == none ]]; then
            peer_address "$host" "$peer" "$peer"
        else
            relay_start "$host" "$1" "$2" "$(peer_ip "$peer")" >"$pid.$host"
            peer_address "$host" "$peer" "127.0.0.1:$relay_port"
        fi
    done
    for host in $hosts; do
        host_daemon "$host" vmferryd restart
    done
}

peer_ip() {
    [[ $1 == hosta ]] && echo 10.9.0.1 || echo 10.9.0.2
}

# relay_start HOST delay|damage N ADDRESS: prints its pid, as the host knows it
relay_start() {
    # shellcheck disable=SC2016 # that shell fills it in
    on_host "$1" sh -c '/run/lab/dir/tools/delay-relay "--$1" "$2" 127.0.0.1 "$3" "$4" 16530 \
        </dev/null >"$5" 2>&1 & echo $!' sh "$2" "$3" "$relay_port" "$4" "/run/lab/dir/relay.$1.log"
}

# peer_address HOST PEER ADDRESS: where HOST finds PEER
peer_address() {
    on_host "$1" sed -i "s,^Addresses=.*,Addresses=$3," "/etc/vmferry/peers.d/$2.conf"
}
