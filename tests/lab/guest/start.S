/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the boot loader enters the guest (multiboot 1: 32-bit protected mode, flat segments), and
 * where interrupts and exceptions do. Everything else is C.
 */
        .set MULTIBOOT_MAGIC, 0x1badb002
        .set MULTIBOOT_FLAGS, 3 /* align modules, tell the size of memory */

        .section .multiboot, "a"
        .align 4
        .long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

        .text
        .globl start
start:
        cli
        mov $stack_top, %esp
        lgdt gdt_pointer
        ljmp $0x08, $1f
1:      mov $0x10, %ax
        mov %ax, %ds
        mov %ax, %es
        mov %ax, %fs
        mov %ax, %gs
        mov %ax, %ss

        /* SSE: the guest's state lives in its registers */
        mov %cr0, %eax
        and $~0x4, %eax /* EM off */
        or $0x2, %eax   /* MP on */
        mov %eax, %cr0
        mov %cr4, %eax
        or $0x600, %eax /* OSFXSR, OSXMMEXCPT */
        mov %eax, %cr4

        push %ebx /* the boot loader's information */
        call counter_main
1:      hlt
        jmp 1b

/* The timer only ends a HLT; time is read from the time stamp counter. */
        .globl timer_interrupt, other_interrupt
timer_interrupt:
        push %eax
        mov $0x20, %al
        out %al, $0x20
        pop %eax
other_interrupt:
        iret

/* Exceptions end the guest, with a line on the serial port: vector, error code or 0, address. */
        .macro exception vector, has_code
        .if \has_code == 0
        push $0
        .endif
        push $\vector
        jmp exception_common
        .align 16
        .endm

        .align 16
        .globl exception_entries
exception_entries:
        .set vector, 0
        .rept 32
        .if (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17)
        exception vector, 1
        .else
        exception vector, 0
        .endif
        .set vector, vector + 1
        .endr

exception_common:
        call counter_panic

        .section .rodata
        .align 8
gdt:
        .quad 0
        .quad 0x00cf9a000000ffff
        .quad 0x00cf92000000ffff
gdt_pointer:
        .word gdt_pointer - gdt - 1
        .long gdt

        .section .note.GNU-stack, "", @progbits
