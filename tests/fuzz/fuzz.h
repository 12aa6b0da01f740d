/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One fuzz target: a function that takes any bytes and comes back. Built with clang's fuzzer
 * (meson option `fuzz`) it searches; otherwise fuzz-replay.c runs it over files, in the suite.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);
