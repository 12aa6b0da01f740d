# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Faults between the lab's hosts, on top of functions.sh. A host's connections with vmferry's port
# of the other one: libvirt's own goes on.

# fault_reset HOST: both ends of the connections hear of it
fault_reset() {
    on "$1" ss -t -K dport = 16530 or sport = 16530 >/dev/null
}

# fault_half_open HOST: only its ends hear of it
fault_half_open() {
    fault_vanish_begin "$1"
    fault_reset "$1"
    fault_end "$1"
}

# fault_vanish_begin HOST: packets from and to the port are lost, until fault_end
fault_vanish_begin() {
    on "$1" nft -f - <<END
table inet fault {
    chain out { type filter hook output priority 0; tcp dport 16530 drop; tcp sport 16530 drop; }
    chain in { type filter hook input priority 0; tcp dport 16530 drop; tcp sport 16530 drop; }
}
END
}

fault_end() {
    on "$1" nft delete table inet fault
}

# fault_down SECONDS: the whole link, libvirt's connection included
fault_down() {
    on hosta ip link set mig0 down
    sleep "$1"
    on hosta ip link set mig0 up
}
