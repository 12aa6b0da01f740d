/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For ThreadSanitizer, which does not see through GLib's locks and counts of references: they are
 * in a library that was built without it. Linked with --wrap for each of these functions.
 */
#include <glib.h>
#include <sanitizer/tsan_interface.h>

void __real_g_mutex_lock(GMutex *mutex);
void __real_g_mutex_unlock(GMutex *mutex);
void __real_g_cond_wait(GCond *cond, GMutex *mutex);
gboolean __real_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end);
gboolean __real_g_atomic_ref_count_dec(gatomicrefcount *count);

void __wrap_g_mutex_lock(GMutex *mutex);
void __wrap_g_mutex_unlock(GMutex *mutex);
void __wrap_g_cond_wait(GCond *cond, GMutex *mutex);
gboolean __wrap_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end);
gboolean __wrap_g_atomic_ref_count_dec(gatomicrefcount *count);

void
__wrap_g_mutex_lock(GMutex *mutex)
{
    __real_g_mutex_lock(mutex);
    __tsan_acquire(mutex);
}

void
__wrap_g_mutex_unlock(GMutex *mutex)
{
    __tsan_release(mutex);
    __real_g_mutex_unlock(mutex);
}

void
__wrap_g_cond_wait(GCond *cond, GMutex *mutex)
{
    __tsan_release(mutex);
    __real_g_cond_wait(cond, mutex);
    __tsan_acquire(mutex);
}

gboolean
__wrap_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end)
{
    gboolean told;

    __tsan_release(mutex);
    told = __real_g_cond_wait_until(cond, mutex, end);
    __tsan_acquire(mutex);
    return told;
}

gboolean
__wrap_g_atomic_ref_count_dec(gatomicrefcount *count)
{
    gboolean last;

    __tsan_release((void *)count);
    last = __real_g_atomic_ref_count_dec(count);
    if (last)
        __tsan_acquire((void *)count);
    return last;
}
