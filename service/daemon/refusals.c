/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/refusals.h"

#include "base/log.h"

typedef struct {
    VmfRefusals *refusals;
    guint timer;   /* 0: the next one is logged at once */
    guint counted; /* since the last line */
    char *last;    /* of those counted */
} VmfRefusalCount;

struct VmfRefusals {
    guint window;
    VmfRefusalCount counts[VMF_REFUSALS];
};

VmfRefusals *
vmf_refusals_new(guint window)
{
    VmfRefusals *self = g_new0(VmfRefusals, 1);

    self->window = window;
    for (int i = 0; i < VMF_REFUSALS; i++)
        self->counts[i].refusals = self;
    return self;
}

static void
vmf_refusal_tell(VmfRefusalCount *count)
{
    if (count->counted == 0)
        return;
    vmf_warn(NULL, "refused %u more such connection%s, the last %s", count->counted,
             count->counted == 1 ? "" : "s", count->last);
    count->counted = 0;
    g_clear_pointer(&count->last, g_free);
}

/* As long as they come, there is a line for each window. */
static gboolean
vmf_refusal_on_window(gpointer data)
{
    VmfRefusalCount *count = data;

    if (count->counted > 0) {
        vmf_refusal_tell(count);
        return G_SOURCE_CONTINUE;
    }
    count->timer = 0;
    return G_SOURCE_REMOVE;
}

void
vmf_refusals_note(VmfRefusals *self, VmfRefusal cause, const char *id, const char *from,
                  const char *why)
{
    VmfRefusalCount *count = &self->counts[cause];

    if (count->timer == 0) {
        vmf_warn(id, "refused a connection from %s: %s", from, why);
        count->timer = g_timeout_add_seconds(self->window, vmf_refusal_on_window, count);
        return;
    }
    count->counted++;
    g_free(count->last);
    count->last = g_strdup_printf("from %s: %s", from, why);
}

void
vmf_refusals_free(VmfRefusals *self)
{
    for (int i = 0; i < VMF_REFUSALS; i++) {
        vmf_refusal_tell(&self->counts[i]);
        g_clear_handle_id(&self->counts[i].timer, g_source_remove);
    }
    g_free(self);
}
