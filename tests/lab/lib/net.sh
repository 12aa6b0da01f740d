# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2154 # see common.sh
# The link between the hosts: a veth pair, mig0 in each, with a token bucket at both ends.

net_up() {
    local a b
    a=$(host_pid hosta)
    b=$(host_pid hostb)
    ip link add name mig0 netns "$a" type veth peer name mig0 netns "$b"
    on_host hosta ip addr add 10.9.0.1/24 dev mig0
    on_host hostb ip addr add 10.9.0.2/24 dev mig0
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
