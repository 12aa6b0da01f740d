/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine.h"
#include "serial.h"

#define PIT_HZ 1193182
#define PIT_CHANNEL_0 0x40
#define PIT_CHANNEL_2 0x42
#define PIT_MODE 0x43
#define SPEAKER 0x61

#define PIC_A 0x20
#define PIC_B 0xa0

#define CODE_SEGMENT 0x08
#define INTERRUPT_GATE 0x8e00

typedef struct {
    uint16_t offset_low, segment;
    uint16_t flags, offset_high;
} Gate;

extern char exception_entries[];
void timer_interrupt(void);
void other_interrupt(void);
void counter_panic(uint32_t vector, uint32_t code, uint32_t address);

static Gate gates[48];

static void
gate_set(uint32_t vector, const void *entry)
{
    uint32_t offset = (uint32_t)(uintptr_t)entry;

    gates[vector] =
        (Gate){(uint16_t)offset, CODE_SEGMENT, INTERRUPT_GATE, (uint16_t)(offset >> 16)};
}

static void
interrupts_init(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint32_t base;
    } pointer = {sizeof gates - 1, (uint32_t)(uintptr_t)gates};

    for (uint32_t i = 0; i < 32; i++)
        gate_set(i, exception_entries + 16 * i);
    gate_set(32, (const void *)timer_interrupt);
    for (uint32_t i = 33; i < 48; i++)
        gate_set(i, (const void *)other_interrupt);
    __asm__ volatile("lidt %0" : : "m"(pointer));

    /* interrupts 0-15 become vectors 32-47; only the timer's is let through */
    static const uint8_t words[][2] = {{0x11, 0x11}, {32, 40}, {4, 2}, {1, 1}, {0xfe, 0xff}};
    for (uint32_t i = 0; i < 5; i++) {
        port_write(i == 0 ? PIC_A : PIC_A + 1, words[i][0]);
        port_write(i == 0 ? PIC_B : PIC_B + 1, words[i][1]);
    }
}

void
machine_take_levels(void)
{
    static const uint8_t words[] = {0x19, 40, 2, 1, 0xff};

    for (uint32_t i = 0; i < sizeof words; i++)
        port_write(i == 0 ? PIC_B : PIC_B + 1, words[i]);
}

void
machine_set_timer(uint32_t hertz)
{
    uint32_t divisor = PIT_HZ / hertz;

    port_write(PIT_MODE, 0x34); /* channel 0, mode 2: one interrupt per period */
    port_write(PIT_CHANNEL_0, (uint8_t)divisor);
    port_write(PIT_CHANNEL_0, (uint8_t)(divisor >> 8));
}

void
machine_init(void)
{
    serial_init();
    interrupts_init();
    machine_set_timer(1000);
    __asm__ volatile("sti");
}

/* Ticks that pass while channel 2 counts 20 ms down. */
static uint64_t
ticks_in_20_ms(void)
{
    uint32_t count = PIT_HZ / 50;

    port_write(SPEAKER, (uint8_t)((port_read(SPEAKER) & ~2) | 1)); /* gate open, speaker off */
    port_write(PIT_MODE, 0xb0);                                    /* channel 2, mode 0 */
    port_write(PIT_CHANNEL_2, (uint8_t)count);
    port_write(PIT_CHANNEL_2, (uint8_t)(count >> 8));
    uint64_t start = ticks_now();
    while ((port_read(SPEAKER) & 0x20) == 0)
        continue;
    return ticks_now() - start;
}

/* The least of three: a machine that looks away can only make it more. */
uint64_t
machine_measure_ticks(void)
{
    uint64_t least = ~0ULL;

    for (int i = 0; i < 3; i++) {
        uint64_t ticks = ticks_in_20_ms();
        if (ticks < least)
            least = ticks;
    }
    return least * 50;
}
