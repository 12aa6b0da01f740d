/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The first serial port of a PC, by its registers: for a guest without an operating system, and for
 * a program that its kernel lets at ports. Nobody else may use the port. Output waits until the
 * port takes it; nothing is kept.
 */
#pragma once

#include <stdint.h>

#define SERIAL_PORT 0x3f8
#define SERIAL_PORTS 8 /* how many from there on */

static inline void
port_write(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t
port_read(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

void serial_init(void);
void serial_text(const char *text);
void serial_hex(uint32_t value);
/* ` name=` and the value in hexadecimal. */
void serial_field(const char *name, uint32_t value);
