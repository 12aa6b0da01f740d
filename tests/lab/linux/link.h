/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A connection to Redis, with its protocol: commands are gathered, sent at once, and answered in
 * their order. Whatever goes wrong ends the workload with the reason.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Link Link;

typedef struct {
    char type;           /* '+': yes; ':': a number; '$': data; '*': that many answers follow */
    int64_t number;      /* also the length of data */
    const uint8_t *data; /* until the next answer is taken */
} Answer;

/* Starts redis-server, with room for so many bytes, and connects once it is ready. */
Link *link_start(uint64_t max_memory);

/* A word of a command, made of text or of data; `words` begins a command of so many. */
void link_words(Link *link, unsigned words);
void link_text(Link *link, const char *format, ...) __attribute__((format(printf, 2, 3)));
void link_data(Link *link, const void *data, size_t length);

void link_send(Link *link);
Answer link_answer(Link *link);
