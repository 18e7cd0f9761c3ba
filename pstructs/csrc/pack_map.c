/* pack_map.c -- files as memory, and what happens when a file is cut short.
 *
 * The problem: reading a mapped page behind the end of a file that someone
 * truncated raises SIGBUS, which kills the process. A pack must raise
 * DamagedPackError instead. A signal handler can't raise, but it can make the
 * read succeed: it maps zeros over the pages from the one that is gone to the
 * last, and returns; the read is repeated and gives zeros. And the rest of the
 * page that the new end is in has turned into zeros without any signal.
 *
 * Both take the end of the mapping with them. So each pack has a mark: the last
 * byte of its file that is not zero. As long as it is what it was, nothing but
 * zeros has been cut off. Every operation looks at the mark after reading and
 * before it answers.
 *
 *     read -> SIGBUS -> address in a watched range?  no  -> previous handler
 *                            | yes
 *                       zeros from its page to the last, return -> read again
 *
 * Signal handlers belong to the process, so the table of ranges is the one
 * mutable global of the library. The handler reads it without a lock: blocks of
 * ranges are never freed, a range is published by its base and withdrawn
 * before its memory is unmapped.
 *
 * The handler is looked at again whenever a pack is opened or its root is read,
 * since others may have installed theirs meanwhile; ours goes on top and hands on
 * what is not ours. faulthandler, when it is enabled later, gets a fault of ours
 * first: it writes its report, puts back the handler before it (ours) and raises
 * the signal anew. That one has no address, so the ranges are probed: where pages
 * are gone, we return, the read is repeated and its fault comes to us.
 */
#include "pack.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct {
    uintptr_t base; /* 0: free */
    size_t size;
    int lost; /* zeros have been mapped */
} range;

typedef struct block {
    range ranges[256];
    struct block *next;
} block;

static block first_block;
static pthread_mutex_t ranges_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction previous;
static size_t page_size;

/* Whether the last page of a mapping can't be read. Without a fault: the kernel copies the set
 * of signals before it finds that 'how' is none, and says EFAULT where it can't. */
static bool
is_gone(uintptr_t base, size_t size)
{
    uintptr_t word = (base + size - 1) & ~(uintptr_t)7;
    return syscall(SYS_rt_sigprocmask, ~0, word, NULL, 8) < 0 && errno == EFAULT;
}

/* The watched range that an address is in, or NULL. at 0: one with pages that are gone. */
static range *
find_range(uintptr_t at)
{
    for (block *b = &first_block; b; b = __atomic_load_n(&b->next, __ATOMIC_ACQUIRE)) {
        for (int i = 0; i < 256; i++) {
            range *r = &b->ranges[i];
            uintptr_t base = __atomic_load_n(&r->base, __ATOMIC_ACQUIRE);
            if (base == 0) {
                continue;
            }
            if (at ? at >= base && at - base < r->size : r->lost || is_gone(base, r->size)) {
                return r;
            }
        }
    }
    return NULL;
}

static void
on_sigbus(int number, siginfo_t *info, void *context)
{
    static volatile int handed_on;
    int saved = errno;
    bool raised = info->si_code <= 0; /* by raise() or kill(), not by a read */
    range *r = NULL;
    if (!raised) {
        uintptr_t at = (uintptr_t)info->si_addr;
        r = find_range(at);
        if (r != NULL) {
            uintptr_t page = at & ~(uintptr_t)(page_size - 1);
            void *zeros = mmap((void *)page, r->size - (page - r->base), PROT_READ,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            r->lost = 1;
            r = zeros == MAP_FAILED ? NULL : r;
        }
    }
    else if (info->si_code == SI_TKILL && info->si_pid == getpid()) {
        r = find_range(0);
    }
    errno = saved;
    if (r != NULL) {
        return;
    }
    /* A handler that comes back here (see above) has done its part. */
    if (!handed_on && (previous.sa_flags & SA_SIGINFO)) {
        handed_on = 1;
        previous.sa_sigaction(number, info, context);
        handed_on = 0;
    }
    else if (!handed_on && previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        handed_on = 1;
        previous.sa_handler(number);
        handed_on = 0;
    }
    else {
        /* As if we were not there: the process ends. */
        signal(SIGBUS, SIG_DFL);
        if (raised) {
            raise(SIGBUS);
        }
    }
}

/* Ours goes on top, unless it is there. Holds the lock. 0, -1. */
static int
install_handler(void)
{
    struct sigaction now, ours;
    if (sigaction(SIGBUS, NULL, &now) < 0) {
        return -1;
    }
    if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_sigbus) {
        return 0;
    }
    page_size = (size_t)sysconf(_SC_PAGESIZE);
    previous = now;
    memset(&ours, 0, sizeof ours);
    ours.sa_sigaction = on_sigbus;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&ours.sa_mask);
    return sigaction(SIGBUS, &ours, NULL);
}

/* Watch the mapping. NULL when there is no memory for one more block. */
static range *
watch(uintptr_t base, size_t size)
{
    range *found = NULL;
    pthread_mutex_lock(&ranges_lock);
    if (install_handler() == 0) {
        for (block *b = &first_block; found == NULL; b = b->next) {
            for (int i = 0; i < 256 && found == NULL; i++) {
                if (b->ranges[i].base == 0) {
                    found = &b->ranges[i];
                }
            }
            if (found == NULL && b->next == NULL) {
                block *more = PyMem_RawCalloc(1, sizeof *more);
                if (more == NULL) {
                    break;
                }
                __atomic_store_n(&b->next, more, __ATOMIC_RELEASE);
            }
        }
    }
    if (found != NULL) {
        found->size = size;
        found->lost = 0;
        __atomic_store_n(&found->base, base, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&ranges_lock);
    return found;
}

static void
unwatch(range *r)
{
    pthread_mutex_lock(&ranges_lock);
    __atomic_store_n(&r->base, 0, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&ranges_lock);
}

/* The file open for reading and its size, or -1 with OSError. */
static int
open_file(PyObject *path, uint64_t *size)
{
    PyObject *bytes = NULL;
    struct stat info;
    if (!PyUnicode_FSConverter(path, &bytes)) {
        return -1;
    }
    int fd;
    Py_BEGIN_ALLOW_THREADS fd = open(PyBytes_AS_STRING(bytes), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    Py_END_ALLOW_THREADS if (fd >= 0 && fstat(fd, &info) == 0)
    {
        if (S_ISREG(info.st_mode)) {
            *size = (uint64_t)info.st_size;
            Py_DECREF(bytes);
            return fd;
        }
        errno = S_ISDIR(info.st_mode) ? EISDIR : EINVAL;
    }
    PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
    if (fd >= 0) {
        close(fd);
    }
    Py_DECREF(bytes);
    return -1;
}

int
ps_map_file(ps_pack *pack, PyObject *path)
{
    uint64_t size;
    int fd = open_file(path, &size);
    if (fd < 0) {
        return -1;
    }
    if (size == 0) {
        close(fd); /* nothing to map; opening says what is wrong */
        return 0;
    }
    void *p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
        close(fd);
        return -1;
    }
    close(fd);
    pack->map_range = watch((uintptr_t)p, size);
    if (pack->map_range == NULL) {
        munmap(p, size);
        PyErr_NoMemory();
        return -1;
    }
    pack->data = p;
    pack->size = size;
    pack->storage = PS_PACK_MAP;
    pack->mark = pack->data + size - 1;
    while (*pack->mark == 0 && pack->mark > pack->data) { /* few: ids or a digest are there */
        pack->mark--;
    }
    pack->mark_value = *pack->mark;
    return 0;
}

void
ps_map_watch_again(void)
{
    pthread_mutex_lock(&ranges_lock);
    (void)install_handler(); /* it was possible when the pack was opened */
    pthread_mutex_unlock(&ranges_lock);
}

void
ps_map_close(ps_pack *pack)
{
    if (pack->map_range != NULL) {
        unwatch(pack->map_range);
        pack->map_range = NULL;
    }
    munmap((void *)(uintptr_t)pack->data, pack->size);
}

int
ps_map_copy_file(ps_pack *pack, PyObject *path)
{
    uint64_t size, done = 0;
    int fd = open_file(path, &size), result = -1;
    if (fd < 0) {
        return -1;
    }
    uint8_t *copy = PyMem_RawMalloc(size ? size : 1);
    if (copy == NULL) {
        PyErr_NoMemory();
        goto finish;
    }
    while (done < size) {
        ssize_t n;
        Py_BEGIN_ALLOW_THREADS n = read(fd, copy + done, size - done);
        Py_END_ALLOW_THREADS if (n < 0 && errno == EINTR && PyErr_CheckSignals() == 0)
        {
            continue;
        }
        if (n < 0) {
            if (!PyErr_Occurred()) {
                PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
            }
            PyMem_RawFree(copy);
            goto finish;
        }
        if (n == 0) {
            break;
        }
        done += (uint64_t)n;
    }
    pack->data = copy;
    pack->size = done;
    pack->storage = PS_PACK_COPY;
    result = 0;
finish:
    close(fd);
    return result;
}
