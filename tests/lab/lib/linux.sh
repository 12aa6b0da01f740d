# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2154 # see common.sh
# What guests with Linux boot: a kernel, and a first file system with all there is.

# linux_install HOST: kernel and file system of its own, as libvirt gives them to QEMU's user
linux_install() {
    local images=$lab_dir/$1/lib/libvirt/images lock
    exec {lock}>"$lab_dir/linux.lock"
    flock "$lock"
    [[ -d $lab_dir/linux ]] || linux_make
    [[ -e $images/initramfs ]] || cp "$lab_dir"/linux/{vmlinuz,initramfs} "$images/"
    exec {lock}>&-
}

linux_make() {
    local packages part=$lab_dir/linux.part
    packages=$("$labsrc/linux/fetch") || die "there is no Linux for guests (why is said above)"
    rm -rf "$part"
    install -D -m 755 "$lab_dir/tools/linux-guest" "$part/own/init"
    "$labsrc/linux/pack" "$part/own" | cat "$packages/initramfs" - >"$part/initramfs"
    cp "$packages/vmlinuz" "$part/"
    mv -T "$part" "$lab_dir/linux"
}
