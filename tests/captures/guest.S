/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest in one boot sector, for captures. Between 16 and 32 MiB it has memory of three kinds:
 * incompressible, text-like, and one value repeated; then it counts in every page of the first
 * 4 MiB, for ever, and sends a byte on the first serial port per round.
 */
#define START 0x1000000
#define NOISE_END 0x1800000
#define TEXT_END 0x1c00000
#define FILL_END 0x2000000
#define BUSY_END 0x1400000

        .code16
        .globl _start
_start: cli
        xor %ax, %ax
        mov %ax, %ds
        in $0x92, %al           /* A20 on */
        or $2, %al
        out %al, $0x92
        lgdt descriptor
        mov %cr0, %eax
        or $1, %eax
        mov %eax, %cr0
        ljmp $8, $protected

        .code32
protected:
        mov $16, %ax
        mov %ax, %ds
        mov %ax, %es
        mov %ax, %ss
        mov $START, %edi
        mov $1, %eax
noise:  imul $1664525, %eax, %eax
        add $1013904223, %eax
        mov %eax, (%edi)
        add $4, %edi
        cmp $NOISE_END, %edi
        jb noise
text:   mov %edi, %eax
        shr $6, %eax
        and $0x0f0f0f0f, %eax
        add $0x61616161, %eax
        mov %eax, (%edi)
        add $4, %edi
        cmp $TEXT_END, %edi
        jb text
fill:   movl $0xabababab, (%edi)
        add $4, %edi
        cmp $FILL_END, %edi
        jb fill

round:  mov $START, %edi
page:   incl 128(%edi)
        incl 3000(%edi)
        mov $20000, %ecx
pause:  dec %ecx
        jnz pause
        add $4096, %edi
        cmp $BUSY_END, %edi
        jb page
        mov $0x3f8, %dx
        mov $'.', %al
        out %al, %dx
        jmp round

        .align 8
gdt:    .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
descriptor:
        .word descriptor - gdt - 1
        .long gdt
        .org 510
        .word 0xaa55
