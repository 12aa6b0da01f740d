/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serial.h"

#define LINE_STATUS (SERIAL_PORT + 5)
#define LINE_STATUS_SENT 0x20
#define FIFO_BYTES 16

void
serial_init(void)
{
    port_write(SERIAL_PORT + 1, 0);    /* no interrupts */
    port_write(SERIAL_PORT + 3, 0x80); /* divisor */
    port_write(SERIAL_PORT + 0, 1);
    port_write(SERIAL_PORT + 1, 0);
    port_write(SERIAL_PORT + 3, 0x03); /* 8N1 */
    port_write(SERIAL_PORT + 2, 0x07); /* FIFO on and empty */
    port_write(SERIAL_PORT + 4, 0x03);
}

void
serial_text(const char *text)
{
    /* an empty FIFO takes 16 bytes; asking before each byte would double the cost */
    for (uint32_t i = 0; text[i] != 0; i++) {
        while (i % FIFO_BYTES == 0 && (port_read(LINE_STATUS) & LINE_STATUS_SENT) == 0)
            continue;
        port_write(SERIAL_PORT, (uint8_t)text[i]);
    }
}

void
serial_hex(uint32_t value)
{
    char text[9];
    char *p = text + 8;

    *p = 0;
    do {
        *--p = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value != 0);
    serial_text(p);
}

void
serial_field(const char *name, uint32_t value)
{
    serial_text(" ");
    serial_text(name);
    serial_text("=");
    serial_hex(value);
}
