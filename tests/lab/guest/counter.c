/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * counter: a guest without an operating system that knows what its memory must hold.
 *
 * It fills its memory, then forever visits pages at a given pace, verifying each before it changes
 * it, and between visits sweeps over everything it filled, verifying that too. content.h says how
 * it knows. What that depends on, the seed and the number of visits, never rests in memory: it
 * lives in SSE registers, which travel with the processor's state. The compiler is told to use none
 * of them.
 *
 * On the serial port, one line each, numbers in hexadecimal:
 *   I name=value ...       what it was told
 *   R filled= set= ...     memory is filled, the count begins
 *   .COUNT                 a heartbeat, every 2 ms (or less often, by hertz=); COUNT grows by one
 *   +COUNT VISITS SWEPT ERRORS   every 16th: visits made, pages swept over, mismatches, since R
 *   E page= offset= have= want= version= visits=   a mismatch (the page is then made right)
 *   X ...                  the end
 */
#include "content.h"
#include "machine.h"
#include "serial.h"

#define PAGE_SIZE (4 * PAGE_WORDS)
#define FIRST_PAGE 1024u /* of guest memory proper, 4 MiB; the image is below */
#define TOP_RESERVE 512u /* pages at the end of memory that the firmware uses */

#define BEATS_PER_SECOND 500
#define BEATS_PER_STATUS 16

/* What could not be done in time is not made up for beyond this part of a second. */
#define BACKLOG_PART 20

typedef struct {
    uint32_t flags, mem_lower, mem_upper, boot_device;
    const char *command_line;
} Multiboot;

/* Does not change once the guest is ready. An interval of 0: as often as possible; NEVER: not. */
#define NEVER (~0ULL)
static struct {
    Content content;
    uint64_t ticks_per_beat, ticks_per_visit, ticks_per_sweep;
    uint64_t backlog;
} constant;

/* On the page of what changes, together with the stack. */
static struct {
    uint32_t count; /* as in the register: proves that this page is not an old one */
    uint64_t next_beat, next_visit, next_sweep;
} changing __attribute__((section(".changing")));

extern const uint32_t constant_start[], constant_end[];

void counter_main(const Multiboot *boot);
void counter_panic(uint32_t vector, uint32_t code, uint32_t address);

#define IN_REGISTER(name, xmm)                                                                     \
    static inline uint32_t name(void)                                                              \
    {                                                                                              \
        uint32_t value;                                                                            \
        __asm__ volatile("movd %%" xmm ", %0" : "=r"(value));                                      \
        return value;                                                                              \
    }                                                                                              \
    static inline void name##_set(uint32_t value)                                                  \
    {                                                                                              \
        __asm__ volatile("movd %0, %%" xmm : : "r"(value));                                        \
    }

IN_REGISTER(seed, "xmm0")
IN_REGISTER(visits, "xmm1")
IN_REGISTER(count, "xmm2")
IN_REGISTER(sweep_page, "xmm3")
IN_REGISTER(swept, "xmm4")
IN_REGISTER(errors, "xmm5")
IN_REGISTER(constant_sum, "xmm6")

static void __attribute__((noreturn)) stop(const char *why)
{
    serial_text("X ");
    serial_text(why);
    serial_text("\n");
    for (;;) {
        __asm__ volatile("cli");
        machine_sleep();
    }
}

void
counter_panic(uint32_t vector, uint32_t code, uint32_t address)
{
    serial_text("X exception");
    serial_field("vector", vector);
    serial_field("code", code);
    serial_field("address", address);
    stop("");
}

static inline uint32_t *
page_data(uint32_t page)
{
    return (uint32_t *)((FIRST_PAGE + page) * PAGE_SIZE);
}

/* ---- verifying ------------------------------------------------------------------------------ */

static void
report_mismatch(uint32_t page, uint32_t version)
{
    const uint32_t *data = page_data(page);
    uint32_t word = 0, want = 0;

    for (; word < PAGE_WORDS - 1; word++) {
        want = content_word(&constant.content, seed(), page, version, word);
        if (data[word] != want)
            break;
    }
    serial_text("E");
    serial_field("page", page);
    serial_field("offset", 4 * word);
    serial_field("have", data[word]);
    serial_field("want", want);
    serial_field("version", version);
    serial_field("visits", visits());
    serial_text("\n");
    errors_set(errors() + 1);
}

/* Verifies the page; makes it right if it was wrong, so that each wrong page is reported once. */
static void
verify(uint32_t page, uint32_t version)
{
    if (content_matches(&constant.content, seed(), page, version, page_data(page)))
        return;
    report_mismatch(page, version);
    content_write_all(&constant.content, seed(), page, version, page_data(page));
}

static uint32_t
sum_of_constants(void)
{
    uint32_t sum = 0;

    for (const uint32_t *p = constant_start; p < constant_end; p++)
        sum = (sum << 1 | sum >> 31) + *p;
    return sum;
}

static void
report_other(const char *what)
{
    serial_text("E ");
    serial_text(what);
    serial_text("\n");
    errors_set(errors() + 1);
}

/* ---- what it does all the time -------------------------------------------------------------- */

static void
beat(void)
{
    uint32_t now = count() + 1;

    if (changing.count != count())
        report_other("stack page is old");
    count_set(now);
    changing.count = now;

    bool status = now % BEATS_PER_STATUS == 0;
    serial_text(status ? "+" : ".");
    serial_hex(now);
    if (status) {
        serial_text(" ");
        serial_hex(visits());
        serial_text(" ");
        serial_hex(swept());
        serial_text(" ");
        serial_hex(errors());
    }
    serial_text("\n");
}

static void
visit(void)
{
    uint32_t page = content_visited_page(&constant.content, visits());
    uint32_t version = content_version(&constant.content, page, visits());

    verify(page, version);
    content_write_visit(&constant.content, seed(), page, version + 1, page_data(page));
    visits_set(visits() + 1);
}

static void
sweep(void)
{
    uint32_t page = sweep_page();

    verify(page, content_version(&constant.content, page, visits()));
    swept_set(swept() + 1);
    page++;
    if (page == constant.content.filled) {
        page = 0;
        if (sum_of_constants() != constant_sum())
            report_other("constants differ");
    }
    sweep_page_set(page);
}

/* Whether something that is done every `interval` is due; if so, sets when it is next. */
static bool
is_due(uint64_t now, uint64_t interval, uint64_t *next)
{
    if (interval == NEVER || now < *next)
        return false;
    *next += interval;
    if (*next + constant.backlog < now)
        *next = now - constant.backlog;
    return true;
}

static void __attribute__((noreturn)) run(void)
{
    uint64_t start = ticks_now();

    changing.next_beat = changing.next_visit = start;
    changing.next_sweep = start;
    for (;;) {
        uint64_t now = ticks_now();
        uint64_t per_visit = constant.ticks_per_visit;
        bool idle = true;

        if (now >= changing.next_beat) {
            beat();
            changing.next_beat = now + constant.ticks_per_beat;
        }
        if (per_visit != NEVER && content_is_slow(&constant.content, visits()))
            per_visit *= 4;
        if (is_due(now, per_visit, &changing.next_visit)) {
            visit();
            idle = false;
        }
        if (is_due(now, constant.ticks_per_sweep, &changing.next_sweep)) {
            sweep();
            idle = false;
        }
        if (idle)
            machine_sleep();
    }
}

/* ---- getting ready -------------------------------------------------------------------------- */

/* The number after `name=` on the command line; `missing` if it is not there. */
static uint32_t
option(const char *line, const char *name, uint32_t missing)
{
    for (; *line != 0; line++) {
        const char *a = line, *b = name;

        while (*b != 0 && *a == *b)
            a++, b++;
        if (*b != 0 || *a != '=')
            continue;
        uint32_t value = 0;
        for (a++; *a >= '0' && *a <= '9'; a++)
            value = value * 10 + (uint32_t)(*a - '0');
        return value;
    }
    return missing;
}

/* Per second: 0 is not at all, ALWAYS is as often as possible. */
#define ALWAYS 0xffffffff
static uint64_t
interval_of(uint64_t ticks_per_second, uint32_t rate)
{
    if (rate == 0)
        return NEVER;
    return rate == ALWAYS ? 0 : divide(ticks_per_second, rate);
}

static void
take_options(const char *line, uint32_t memory_pages)
{
    Content *content = &constant.content;
    uint32_t visit_rate = option(line, "rate", 0), sweep_rate = option(line, "verify", ALWAYS);
    uint64_t ticks = machine_measure_ticks();

    content->set = option(line, "set", 1024);
    content->filled = option(line, "filled", content->set);
    content->pattern = (Pattern)option(line, "pattern", PATTERN_COUNTER);
    content->fill = (Fill)option(line, "fill", FILL_RANDOM);
    seed_set(option(line, "seed", 1));
    constant.ticks_per_beat = divide(ticks, BEATS_PER_SECOND);
    constant.ticks_per_visit = interval_of(ticks, visit_rate);
    constant.ticks_per_sweep = interval_of(ticks, sweep_rate);
    constant.backlog = divide(ticks, BACKLOG_PART);

    serial_text("I");
    serial_field("set", content->set);
    serial_field("filled", content->filled);
    serial_field("pattern", content->pattern);
    serial_field("fill", content->fill);
    serial_field("seed", seed());
    serial_field("rate", visit_rate);
    serial_field("verify", sweep_rate);
    serial_field("khz", (uint32_t)divide(ticks, 1000));
    serial_field("memory", memory_pages);
    serial_text("\n");

    const char *wrong = content_init(content);
    if (wrong)
        stop(wrong);
    if (content->filled + FIRST_PAGE + TOP_RESERVE > memory_pages)
        stop("more to fill than there is memory");
}

void
counter_main(const Multiboot *boot)
{
    uint64_t start = ticks_now();

    machine_init();
    /* mem_upper: KiB from 1 MiB up to the first hole */
    take_options(boot->command_line, boot->mem_upper / 4 + 256);
    if (option(boot->command_line, "levels", 0))
        machine_take_levels();
    machine_set_timer(option(boot->command_line, "hertz", 1000));
    for (uint32_t page = 0; page < constant.content.filled; page++)
        content_write_all(&constant.content, seed(), page, 0, page_data(page));

    visits_set(0);
    count_set(0);
    sweep_page_set(0);
    swept_set(0);
    errors_set(0);
    changing.count = 0;
    constant_sum_set(sum_of_constants());

    uint32_t per_ms = (uint32_t)divide(constant.ticks_per_beat * BEATS_PER_SECOND, 1000);
    serial_text("R");
    serial_field("filled", constant.content.filled);
    serial_field("set", constant.content.set);
    serial_field("ms", (uint32_t)divide(ticks_now() - start, per_ms));
    serial_text("\n");
    run();
}
