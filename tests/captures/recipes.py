# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is captured: one Recipe per dialect of the stream."""

from dataclasses import dataclass, field


@dataclass
class Recipe:
    """How two QEMUs are set up and what they do. Lists of arguments go to both of them."""
    name: str
    machine: str = "pc-i440fx-7.2"
    flow: str = "precopy"  # precopy, postcopy, recovery, snapshot, file, disks
    capabilities: tuple = ()
    source_only: tuple = ()  # capabilities of the source alone
    parameters: dict = field(default_factory=dict)
    devices: tuple = ("-device", "VGA")
    memory: tuple = ("-m", "64M")
    newer: bool = False  # needs QEMU 10.0
    disk_writes: bool = False
    migrate: dict = field(default_factory=dict)
    ask_pages: bool = False  # postcopy: have the destination fault pages in


VIRTIO = ("-device", "VGA", "-device", "virtio-net-pci", "-device", "virtio-rng-pci",
          "-device", "virtio-balloon-pci", "-device", "virtio-serial-pci",
          "-device", "qemu-xhci", "-device", "usb-tablet",
          "-blockdev", "null-co,node-name=disk0,size=67108864,read-zeroes=on",
          "-device", "virtio-blk-pci,drive=disk0")
OLD_DEVICES = ("-device", "VGA", "-device", "e1000", "-device", "piix3-usb-uhci",
               "-device", "usb-mouse", "-device", "lsi53c895a")
MEMORY_DEVICE = ("-m", "64M,maxmem=512M,slots=2", "-object", "memory-backend-ram,id=vmem,size=64M",
                 "-device", "virtio-mem-pci,memdev=vmem,requested-size=32M")
DISK = ("-blockdev", "null-co,node-name=disk0,size=67108864,read-zeroes=on",
        "-device", "virtio-blk-pci,drive=disk0")
SMALL_DISK = ("-drive", "file=@DISK@,format=raw,if=none,id=disk0",
              "-device", "virtio-blk-pci,drive=disk0")
MULTIFD = {"multifd-channels": 3}
RETURN_PATH = ("return-path",)


def multifd(method):
    """Parameters of multifd with one compression."""
    return {**MULTIFD, "multifd-compression": method}


OF_7_2 = [
    Recipe("plain", source_only=RETURN_PATH),
    Recipe("no-return-path", devices=OLD_DEVICES),
    Recipe("xbzrle", source_only=(*RETURN_PATH, "xbzrle")),
    Recipe("compress", capabilities=("compress",), source_only=RETURN_PATH),
    Recipe("compress-xbzrle", capabilities=("compress",), source_only=("xbzrle",)),
    Recipe("multifd-none", capabilities=("multifd",), source_only=RETURN_PATH,
           parameters=multifd("none")),
    Recipe("multifd-zlib", capabilities=("multifd",), source_only=RETURN_PATH,
           parameters=multifd("zlib")),
    Recipe("multifd-zstd", capabilities=("multifd",), source_only=RETURN_PATH,
           parameters=multifd("zstd")),
    Recipe("postcopy", flow="postcopy", capabilities=("postcopy-ram",)),
    Recipe("preempt", flow="postcopy", capabilities=("postcopy-ram", "postcopy-preempt"),
           ask_pages=True),
    Recipe("recovery", flow="recovery", capabilities=("postcopy-ram",)),
    Recipe("background-snapshot", flow="snapshot", source_only=("background-snapshot",)),
    Recipe("q35-virtio", machine="pc-q35-7.2", devices=VIRTIO, source_only=RETURN_PATH),
    Recipe("q35-virtio-no-return-path", machine="pc-q35-7.2", devices=VIRTIO),
    Recipe("virtio-mem", machine="pc-q35-7.2", memory=MEMORY_DEVICE),
    Recipe("dirty-bitmaps", capabilities=("dirty-bitmaps",), devices=("-device", "VGA", *DISK),
           disk_writes=True),
    Recipe("uuid-ignore-shared", capabilities=("validate-uuid", "x-ignore-shared"),
           devices=("-uuid", "11111111-2222-3333-4444-555555555555", "-device", "VGA")),
    Recipe("block", flow="disks", devices=("-device", "VGA", *SMALL_DISK),
           migrate={"blk": True}),
    Recipe("pc-2.3", machine="pc-i440fx-2.3", devices=OLD_DEVICES),
    Recipe("pc-2.0", machine="pc-i440fx-2.0", devices=OLD_DEVICES),
]

OF_10_0 = [
    Recipe("10-plain", machine="pc-q35-10.0", devices=VIRTIO, source_only=RETURN_PATH, newer=True),
    Recipe("10-as-7.2", source_only=RETURN_PATH, newer=True),
    Recipe("10-xbzrle", machine="pc-i440fx-10.0", source_only=(*RETURN_PATH, "xbzrle"), newer=True),
    Recipe("10-multifd-none", machine="pc-i440fx-10.0", capabilities=("multifd",),
           source_only=RETURN_PATH, parameters=multifd("none"), newer=True),
    Recipe("10-multifd-zlib", machine="pc-i440fx-10.0", capabilities=("multifd",),
           source_only=RETURN_PATH, parameters=multifd("zlib"), newer=True),
    Recipe("10-multifd-zstd", machine="pc-i440fx-10.0", capabilities=("multifd",),
           source_only=RETURN_PATH, parameters=multifd("zstd"), newer=True),
    Recipe("10-multifd-as-7.2", capabilities=("multifd",), source_only=RETURN_PATH,
           parameters=multifd("none"), newer=True),
    Recipe("10-postcopy", machine="pc-i440fx-10.0", flow="postcopy",
           capabilities=("postcopy-ram",), newer=True),
    Recipe("10-preempt", machine="pc-i440fx-10.0", flow="postcopy",
           capabilities=("postcopy-ram", "postcopy-preempt"), ask_pages=True, newer=True),
    Recipe("10-recovery", machine="pc-i440fx-10.0", flow="recovery",
           capabilities=("postcopy-ram",), newer=True),
    Recipe("10-background-snapshot", machine="pc-i440fx-10.0", flow="snapshot",
           source_only=("background-snapshot",), newer=True),
    Recipe("10-virtio-mem", machine="pc-q35-10.0", memory=MEMORY_DEVICE, newer=True),
    Recipe("10-dirty-bitmaps", machine="pc-i440fx-10.0", capabilities=("dirty-bitmaps",),
           devices=("-device", "VGA", *DISK), disk_writes=True, newer=True),
    Recipe("10-mapped-ram", machine="pc-i440fx-10.0", flow="file", capabilities=("mapped-ram",),
           newer=True),
    Recipe("10-mapped-ram-multifd", machine="pc-i440fx-10.0", flow="file",
           capabilities=("mapped-ram", "multifd"), newer=True),
    Recipe("10-pc-2.4", machine="pc-i440fx-2.4", devices=OLD_DEVICES, newer=True),
]
