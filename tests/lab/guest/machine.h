/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bare PC under the counter guest: timer, interrupts, time.
 *
 * Times are ticks of the time stamp counter. Nothing here keeps state but in what
 * machine_init() sets up once.
 */
#pragma once

#include <stdint.h>

static inline uint64_t
ticks_now(void)
{
    uint64_t ticks;

    __asm__ volatile("rdtsc" : "=A"(ticks));
    return ticks;
}

/* There is no libgcc to divide 64 bits. */
static inline uint64_t
divide(uint64_t n, uint32_t by)
{
    uint32_t high = (uint32_t)(n >> 32), low = (uint32_t)n, rest = high % by;

    high /= by;
    __asm__("divl %2" : "+a"(low), "+d"(rest) : "r"(by));
    return (uint64_t)high << 32 | low;
}

/* Serial port, interrupt controller, a timer interrupt every millisecond; interrupts are on. */
void machine_init(void);

/* Other than a thousand timer interrupts a second; 19 to 1000. */
void machine_set_timer(uint32_t hertz);

/*
 * The second interrupt controller, which nothing uses, takes levels instead of edges. QEMU from 8.0
 * on keeps that and sends it as a subsection of its own; older ones do not know it.
 */
void machine_take_levels(void);

/* How many ticks a second has, measured against the timer chip. Takes about 60 ms. */
uint64_t machine_measure_ticks(void);

/* Sleeps until the next interrupt. */
static inline void
machine_sleep(void)
{
    __asm__ volatile("hlt" : : : "memory");
}
