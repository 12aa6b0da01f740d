# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Guests of the lab.

cmd_guest() {
    die "guest: not yet"
}
