/* faults.c -- what a store asks of the operating system: written down, or made to fail.
 *
 * Loaded with LD_PRELOAD in front of libc, so that SQLite, Python and the C core all pass here.
 * Calls on files under one folder (faults_watch) are counted. The n-th from now on can be made
 * to fail (faults_arm), and those that change the disk can be recorded (faults_record):
 *
 *     record   op u8 | inode u64 | offset u64 | path length u32 | data length u32 | path | data
 *
 * A mutex is held over each call and its record, so the records are in the order of the calls.
 * The index of the log (-shm) is no content of the disk and is not recorded.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES 1024
enum { CREATE = 1, WRITE, TRUNCATE, SYNC, RENAME, UNLINK, MKDIR, MARK };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char folder[4096];
static size_t folder_len;
static char *paths[FILES]; /* of open files under the folder */
static int log_fd = -1;
static long counted, target, fired;
static int failure; /* an errno; 0: a short read or write */
static bool lasting;
static char fired_name[64];

#define REAL(name)                                                                                \
    static __typeof__(&name) real;                                                                \
    if (real == NULL) {                                                                           \
        real = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                                        \
    }

static bool
under(const char *path)
{
    return folder_len && path && strncmp(path, folder, folder_len) == 0 &&
           (path[folder_len] == '/' || path[folder_len] == 0);
}

static const char *
path_of(int fd)
{
    return fd >= 0 && fd < FILES ? paths[fd] : NULL;
}

/* Count a call; true when it is the one that has to fail. */
static bool
due(const char *path, const char *name)
{
    if (path == NULL) {
        return false;
    }
    counted++;
    if (target == 0 || (lasting ? counted < target : counted != target)) {
        return false;
    }
    if (fired++ == 0) {
        snprintf(fired_name, sizeof fired_name, "%s", name);
    }
    return true;
}

static void
add(const void *p, size_t n)
{
    ssize_t (*real)(int, const void *, size_t) =
        (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    while (n) {
        ssize_t done = real(log_fd, p, n);
        if (done <= 0) {
            abort();
        }
        p = (const char *)p + done;
        n -= (size_t)done;
    }
}

static void
record(uint8_t op, const char *path, uint64_t inode, uint64_t offset, const void *data, size_t n)
{
    size_t len = path ? strlen(path) : 0;
    if (log_fd < 0 || (len > 4 && strcmp(path + len - 4, "-shm") == 0)) {
        return;
    }
    uint32_t lengths[2] = {(uint32_t)len, (uint32_t)n};
    int saved = errno;
    add(&op, 1);
    add(&inode, 8);
    add(&offset, 8);
    add(lengths, 8);
    add(path, len);
    add(data, n);
    errno = saved;
}

static uint64_t
inode_of(int fd)
{
    struct stat s;
    return syscall(5 /* fstat, past our own */, fd, &s) == 0 ? s.st_ino : 0;
}

/* ---- for the driver */

void
faults_watch(const char *path)
{
    pthread_mutex_lock(&lock);
    snprintf(folder, sizeof folder, "%s", path);
    folder_len = strlen(folder);
    pthread_mutex_unlock(&lock);
}

void
faults_record(int fd)
{
    log_fd = fd;
}

void
faults_mark(long n)
{
    pthread_mutex_lock(&lock);
    record(MARK, NULL, (uint64_t)n, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
}

/* The nth call from now on fails; with last, all from the nth on. 0: none. */
void
faults_arm(long nth, int number, int last)
{
    pthread_mutex_lock(&lock);
    counted = fired = 0;
    target = nth;
    failure = number;
    lasting = last;
    fired_name[0] = 0;
    pthread_mutex_unlock(&lock);
}

long
faults_fired(void)
{
    return fired;
}

const char *
faults_name(void)
{
    return fired_name;
}

/* ---- calls on paths */

static int
opened(int fd, const char *path, int flags, bool was_there)
{
    if (fd >= 0 && fd < FILES) {
        free(paths[fd]);
        paths[fd] = strdup(path);
        if (!was_there) {
            record(CREATE, path, inode_of(fd), 0, NULL, 0);
        }
        else if (flags & O_TRUNC) {
            record(TRUNCATE, path, inode_of(fd), 0, NULL, 0);
        }
    }
    return fd;
}

#define OPEN(name, PARAMS, ARGS, PATH)                                                            \
    int name PARAMS                                                                               \
    {                                                                                             \
        REAL(name)                                                                                \
        va_list list;                                                                             \
        va_start(list, flags);                                                                    \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, mode_t) : 0;                 \
        va_end(list);                                                                             \
        if (!under(PATH)) {                                                                       \
            return real ARGS;                                                                     \
        }                                                                                         \
        pthread_mutex_lock(&lock);                                                                \
        int fd = -1;                                                                              \
        if (due(PATH, #name)) {                                                                   \
            errno = failure ? failure : EIO;                                                      \
        }                                                                                         \
        else {                                                                                    \
            bool there = faccessat(AT_FDCWD, PATH, F_OK, AT_SYMLINK_NOFOLLOW) == 0;               \
            fd = opened(real ARGS, PATH, flags, there);                                           \
        }                                                                                         \
        pthread_mutex_unlock(&lock);                                                              \
        return fd;                                                                                \
    }

OPEN(open, (const char *path, int flags, ...), (path, flags, mode), path)
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), path)
OPEN(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode), path)
OPEN(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode), path)

/* A call that may fail; AFTER runs when it succeeded. */
#define CALL(TYPE, BAD, name, PARAMS, ARGS, PATH, AFTER)                                          \
    TYPE name PARAMS                                                                              \
    {                                                                                             \
        REAL(name)                                                                                \
        const char *watched = PATH;                                                               \
        if (watched == NULL) {                                                                    \
            return real ARGS;                                                                     \
        }                                                                                         \
        pthread_mutex_lock(&lock);                                                                \
        TYPE result = BAD;                                                                        \
        if (due(watched, #name)) {                                                                \
            errno = failure ? failure : EIO;                                                      \
        }                                                                                         \
        else {                                                                                    \
            result = real ARGS;                                                                   \
            if (result != BAD) {                                                                  \
                AFTER;                                                                            \
            }                                                                                     \
        }                                                                                         \
        pthread_mutex_unlock(&lock);                                                              \
        return result;                                                                            \
    }

#define IF_UNDER(p) (under(p) ? (p) : NULL)

CALL(int, -1, unlink, (const char *path), (path), IF_UNDER(path),
     record(UNLINK, path, 0, 0, NULL, 0))
CALL(int, -1, unlinkat, (int at, const char *path, int flags), (at, path, flags), IF_UNDER(path),
     record(UNLINK, path, 0, 0, NULL, 0))
CALL(int, -1, rename, (const char *from, const char *to), (from, to), IF_UNDER(from),
     record(RENAME, from, 0, 0, to, strlen(to)))
/* no store links what a power cut is tried on, so links are not recorded */
CALL(int, -1, link, (const char *from, const char *to), (from, to), IF_UNDER(to),
     if (log_fd >= 0) abort())
CALL(int, -1, mkdir, (const char *path, mode_t mode), (path, mode), IF_UNDER(path),
     record(MKDIR, path, 0, 0, NULL, 0))
CALL(int, -1, stat, (const char *path, struct stat *s), (path, s), IF_UNDER(path), (void)0)
CALL(int, -1, stat64, (const char *path, struct stat64 *s), (path, s), IF_UNDER(path), (void)0)
CALL(int, -1, lstat, (const char *path, struct stat *s), (path, s), IF_UNDER(path), (void)0)
CALL(int, -1, lstat64, (const char *path, struct stat64 *s), (path, s), IF_UNDER(path), (void)0)
CALL(int, -1, access, (const char *path, int mode), (path, mode), IF_UNDER(path), (void)0)
CALL(DIR *, NULL, opendir, (const char *path), (path), IF_UNDER(path), (void)0)
CALL(int, -1, truncate, (const char *path, off_t size), (path, size), IF_UNDER(path), abort())

/* ---- calls on open files */

CALL(int, -1, fstat, (int fd, struct stat *s), (fd, s), path_of(fd), (void)0)
CALL(int, -1, fstat64, (int fd, struct stat64 *s), (fd, s), path_of(fd), (void)0)
CALL(int, -1, flock, (int fd, int how), (fd, how), path_of(fd), (void)0)
CALL(int, -1, fsync, (int fd), (fd), path_of(fd), record(SYNC, watched, inode_of(fd), 0, NULL, 0))
CALL(int, -1, fdatasync, (int fd), (fd), path_of(fd),
     record(SYNC, watched, inode_of(fd), 0, NULL, 0))
CALL(int, -1, ftruncate, (int fd, off_t size), (fd, size), path_of(fd),
     record(TRUNCATE, watched, inode_of(fd), (uint64_t)size, NULL, 0))
CALL(int, -1, ftruncate64, (int fd, off64_t size), (fd, size), path_of(fd),
     record(TRUNCATE, watched, inode_of(fd), (uint64_t)size, NULL, 0))
CALL(void *, MAP_FAILED, mmap, (void *at, size_t n, int prot, int flags, int fd, off_t o),
     (at, n, prot, flags, fd, o), path_of(fd), (void)0)
CALL(void *, MAP_FAILED, mmap64, (void *at, size_t n, int prot, int flags, int fd, off64_t o),
     (at, n, prot, flags, fd, o), path_of(fd), (void)0)

int
close(int fd)
{
    REAL(close)
    if (path_of(fd)) {
        pthread_mutex_lock(&lock);
        free(paths[fd]);
        paths[fd] = NULL;
        pthread_mutex_unlock(&lock);
    }
    return real(fd);
}

/* A read or write: fails, or is cut to half. OFFSET is where it went. */
#define TRANSFER(name, PARAMS, ARGS, HALF, OFFSET, AFTER)                                         \
    ssize_t name PARAMS                                                                           \
    {                                                                                             \
        REAL(name)                                                                                \
        const char *watched = path_of(fd);                                                        \
        if (watched == NULL) {                                                                    \
            return real ARGS;                                                                     \
        }                                                                                         \
        pthread_mutex_lock(&lock);                                                                \
        ssize_t done = -1;                                                                        \
        uint64_t at = (uint64_t)(OFFSET);                                                         \
        if (!due(watched, #name)) {                                                               \
            done = real ARGS;                                                                     \
        }                                                                                         \
        else if (failure == 0) {                                                                  \
            done = real HALF;                                                                     \
        }                                                                                         \
        else {                                                                                    \
            errno = failure;                                                                      \
        }                                                                                         \
        if (done > 0) {                                                                           \
            AFTER;                                                                                \
        }                                                                                         \
        pthread_mutex_unlock(&lock);                                                              \
        return done;                                                                              \
    }

#define WRITTEN record(WRITE, watched, inode_of(fd), at, p, (size_t)done)

TRANSFER(write, (int fd, const void *p, size_t n), (fd, p, n), (fd, p, (n + 1) / 2),
         lseek(fd, 0, SEEK_CUR), WRITTEN)
TRANSFER(pwrite, (int fd, const void *p, size_t n, off_t o), (fd, p, n, o),
         (fd, p, (n + 1) / 2, o), o, WRITTEN)
TRANSFER(pwrite64, (int fd, const void *p, size_t n, off64_t o), (fd, p, n, o),
         (fd, p, (n + 1) / 2, o), o, WRITTEN)
TRANSFER(read, (int fd, void *p, size_t n), (fd, p, n), (fd, p, (n + 1) / 2), 0, (void)at)
TRANSFER(pread, (int fd, void *p, size_t n, off_t o), (fd, p, n, o), (fd, p, (n + 1) / 2, o), o,
         (void)at)
TRANSFER(pread64, (int fd, void *p, size_t n, off64_t o), (fd, p, n, o), (fd, p, (n + 1) / 2, o),
         o, (void)at)

/* Locks. What else fcntl does is passed on. A disk that fails for good has no part in locks
 * (and SQLite asks for them again for ten seconds). */
#define FCNTL(name)                                                                               \
    int name(int fd, int command, ...)                                                            \
    {                                                                                             \
        REAL(name)                                                                                \
        va_list list;                                                                             \
        va_start(list, command);                                                                  \
        void *arg = va_arg(list, void *);                                                         \
        va_end(list);                                                                             \
        bool locks = command == F_SETLK || command == F_SETLKW || command == F_GETLK;             \
        bool gives_back = locks && ((struct flock *)arg)->l_type == F_UNLCK;                      \
        if (!locks || gives_back || path_of(fd) == NULL) {                                        \
            return real(fd, command, arg);                                                        \
        }                                                                                         \
        pthread_mutex_lock(&lock);                                                                \
        bool fails = !lasting && due(path_of(fd), #name);                                         \
        pthread_mutex_unlock(&lock);                                                              \
        if (fails) {                                                                              \
            errno = failure ? failure : EIO;                                                      \
            return -1;                                                                            \
        }                                                                                         \
        return real(fd, command, arg);                                                            \
    }

FCNTL(fcntl)
FCNTL(fcntl64)
