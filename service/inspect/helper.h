/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between vmferryd and vmferry-inspect, the confined process that reads a stream for it:
 *
 *     vmferry-inspect [OPTION...] inspect|check
 *
 * Descriptors: VMF_HELPER_FIRST is the stream (inspect) or the source (check), VMF_HELPER_SECOND
 * takes the JSON (inspect) or is the destination's dump (check). At the end the process writes one
 * serialized value of type VMF_HELPER_RESULT to VMF_HELPER_ANSWER: name and message of an error, or
 * two empty strings, and what check found. A process that ends without it has failed.
 *
 * The reader of the answer trusts nothing in it.
 */
#pragma once

#define VMF_HELPER_FIRST 3
#define VMF_HELPER_SECOND 4
#define VMF_HELPER_ANSWER 5

#define VMF_HELPER_RESULT "(ssa{sv})"
#define VMF_HELPER_RESULT_MAX (1u << 20)

#define VMF_HELPER_NO_MEMORY 42        /* its exit status when it needs more than that: */
#define VMF_HELPER_MEMORY (512u << 20) /* bytes of address space it may take */
