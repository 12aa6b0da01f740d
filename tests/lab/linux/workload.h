/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What keeps a guest with Linux busy, and how it says so.
 *
 * Two processes: the first is the heart (heart.h), which has the serial port; the second runs a
 * workload, which never returns. They share Status and a pipe for lines.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* As often as possible; as a number of pages or values per second. */
#define ALWAYS 0xffffffffu

/* From the kernel's command line, which says `lab guest start`. */
typedef struct {
    uint32_t filled, set;  /* pages of 4 KiB */
    uint32_t rate, verify; /* per second; 0: none */
    uint32_t pattern, fill, seed;
} Options;

/* Shared with the heart. What is counted depends on the workload: pages, or values. */
typedef struct {
    _Atomic uint32_t visits, swept, errors;
} Status;

/* The guest's memory, as the guest `counter` treats it. */
void memory_run(const Options *options, Status *status) __attribute__((noreturn));

/* Redis, and a client that knows what it must hold. */
void redis_run(const Options *options, Status *status) __attribute__((noreturn));

/* One line for the serial port, without its end; see guest/counter.c for what lines there are. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says why, and ends the workload. */
void stop(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* CLOCK_MONOTONIC, nanoseconds. */
uint64_t now_ns(void);

/* Something that is done so many times a second; what was missed is made up for, within limits. */
typedef struct {
    uint64_t interval, next;
} Pace;

Pace pace_of(uint32_t rate);

/* Whether it is due; if so, the next is set. */
bool pace_is_due(Pace *pace, uint64_t now);

/* Sleeps for so long that what is due comes in small groups: a guest that wakes up for each alone
 * has no time for anything else. */
void pace_rest(void);
