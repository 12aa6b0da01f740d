# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2154 # see common.sh
# What is tested is what is installed: a folder with vmferry as `meson install` leaves it.

# stage_make BUILD STAGE: fills lab_dir/stage from the build folder, or links it to STAGE
stage_make() {
    local build=$1 stage=$2
    if [[ -n $stage ]]; then
        [[ -d $stage ]] || die "no such stage: $stage"
        mkdir "$lab_dir/stage"
        cp -a "$stage/." "$lab_dir/stage/"
        return
    fi
    [[ -e $build/build.ninja ]] ||
        die "$build is no build folder: run 'meson setup --prefix=/usr $build', or use --build"
    stage_has_prefix_usr "$build" ||
        die "$build is not set up for /usr: run 'meson configure --prefix=/usr $build'"
    # one at a time: installing builds what has changed
    DESTDIR=$lab_dir/stage flock "$build/build.ninja" meson install -C "$build" --quiet >"$lab_dir/install.log" 2>&1 ||
        die "vmferry could not be installed:
$(tail -n 20 "$lab_dir/install.log")"
    mkdir -p "$lab_dir/stage"
}

stage_has_prefix_usr() {
    meson introspect --buildoptions "$1" | /usr/bin/python3 -c '
import json, sys
sys.exit({o["name"]: o["value"] for o in json.load(sys.stdin)}["prefix"] != "/usr")'
}

# The lab's own programs are never installed.
stage_tools() {
    local build
    build=$(readlink -f "$1")/tests/lab
    [[ -x $build/lab-host && -x $build/stamp && -x $build/delay-relay && -e $build/guest/counter &&
        -x $build/linux/linux-guest ]] ||
        die "the lab's programs are not built: run 'meson compile -C $1'"
    mkdir "$lab_dir/tools"
    cp "$build"/{lab-host,stamp,delay-relay,guest/counter,linux/linux-guest} "$lab_dir/tools/"
}
