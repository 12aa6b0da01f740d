/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "workload.h"
#include "guest/content.h"

#include <sys/mman.h>
#include <unistd.h>

#define PAGE_SIZE (4 * PAGE_WORDS)
#define OTHER_PAGES (8 << 8) /* for the kernel and for this program, 8 MiB */

typedef struct {
    const Options *options;
    Status *status;
    Content content;
    uint32_t *pages;
    uint32_t sweep_page;
} Memory;

static uint32_t *
page_data(const Memory *memory, uint32_t page)
{
    return memory->pages + (uint64_t)page * PAGE_WORDS;
}

/* Verifies the page; makes it right if it was wrong, so that each wrong page is reported once. */
static void
verify(Memory *memory, uint32_t page, uint32_t version)
{
    const Content *content = &memory->content;
    uint32_t seed = memory->options->seed, *data = page_data(memory, page), word = 0, want = 0;

    if (content_matches(content, seed, page, version, data))
        return;
    for (; word < PAGE_WORDS - 1; word++) {
        want = content_word(content, seed, page, version, word);
        if (data[word] != want)
            break;
    }
    say("E page=%x offset=%x have=%x want=%x version=%x visits=%x", page, 4 * word, data[word],
        want, version, memory->status->visits);
    memory->status->errors++;
    content_write_all(content, seed, page, version, data);
}

static void
visit(Memory *memory)
{
    uint32_t visits = memory->status->visits;
    uint32_t page = content_visited_page(&memory->content, visits);
    uint32_t version = content_version(&memory->content, page, visits);

    verify(memory, page, version);
    content_write_visit(&memory->content, memory->options->seed, page, version + 1,
                        page_data(memory, page));
    memory->status->visits++;
}

static void
sweep(Memory *memory)
{
    uint32_t page = memory->sweep_page;

    verify(memory, page, content_version(&memory->content, page, memory->status->visits));
    memory->status->swept++;
    memory->sweep_page = page + 1 < memory->content.filled ? page + 1 : 0;
}

static void
fill(Memory *memory)
{
    uint64_t begin = now_ns();

    if (memory->content.filled + OTHER_PAGES > (uint64_t)sysconf(_SC_AVPHYS_PAGES))
        stop("more to fill than there is memory");
    memory->pages = mmap(NULL, (size_t)memory->content.filled * PAGE_SIZE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory->pages == MAP_FAILED)
        stop("no memory to fill");
    for (uint32_t page = 0; page < memory->content.filled; page++)
        content_write_all(&memory->content, memory->options->seed, page, 0,
                          page_data(memory, page));
    say("R filled=%x set=%x ms=%x", memory->content.filled, memory->content.set,
        (uint32_t)((now_ns() - begin) / 1000000));
}

void
memory_run(const Options *options, Status *status)
{
    static Memory memory;

    memory.options = options;
    memory.status = status;
    memory.content = (Content){.set = options->set,
                               .filled = options->filled,
                               .pattern = (Pattern)options->pattern,
                               .fill = (Fill)options->fill};

    const char *wrong = content_init(&memory.content);
    if (wrong != NULL)
        stop("%s", wrong);
    fill(&memory);

    Pace visits = pace_of(options->rate), sweeps = pace_of(options->verify);

    for (;;) {
        uint64_t now = now_ns();
        bool idle = true;

        if (pace_is_due(&visits, now)) {
            visit(&memory);
            if (content_is_slow(&memory.content, status->visits))
                visits.next += 3 * visits.interval;
            idle = false;
        }
        if (pace_is_due(&sweeps, now)) {
            sweep(&memory);
            idle = false;
        }
        if (idle)
            pace_rest();
    }
}
