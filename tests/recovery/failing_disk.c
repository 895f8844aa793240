/* A disk that fails, or a process that dies, at the n-th change below one folder.
 *
 * Preloaded, it counts every call by which a process changes files below the folder that
 * `failing_disk_arm` names. At the n-th it kills the process (mode KILL), or tears a write
 * in half and kills it (TEAR), or says that the disk is full: then only (ONCE) or from then
 * on (FULL). What frees space (unlink, rmdir) always works, but may be where a process dies.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum mode { COUNT, KILL, TEAR, ONCE, FULL, NAMES };  /* NAMES: full, but what is there can be renamed */
enum need { SPACE, A_NAME, NO_SPACE };

static char folder[PATH_MAX];
static atomic_long calls;
static long at;
static enum mode mode;

void failing_disk_arm(const char *path, long n, int how) {
    at = n;
    mode = (enum mode)how;
    atomic_store(&calls, 0);
    snprintf(folder, sizeof folder, "%s", path);
}

long failing_disk_calls(void) { return atomic_load(&calls); }

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static int below(const char *path) {
    size_t length = strlen(folder);
    return length && !strncmp(path, folder, length) && path[length] == '/';
}

static int below_fd(int fd) {
    char link[64], path[PATH_MAX];
    if (!folder[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

static int below_at(int at_fd, const char *path) {
    if (!folder[0]) return 0;
    if (path[0] == '/' || at_fd == AT_FDCWD) return below(path);
    char link[64], base[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", at_fd);
    ssize_t length = readlink(link, base, sizeof base - 1);
    if (length < 0) return 0;
    base[length] = 0;
    return below(base) || !strcmp(base, folder);
}

/* Count a change; 1 if it is to fail for want of space, 2 if it is to be torn. */
static int fault(enum need need) {
    long n = atomic_fetch_add(&calls, 1) + 1;
    if (mode == KILL && n == at) die();
    if (mode == TEAR && n == at) return 2;
    int full = (mode == ONCE && n == at) || (mode == FULL && n >= at);
    if ((need != NO_SPACE && full) || (need == SPACE && mode == NAMES && n >= at)) {
        errno = ENOSPC;
        return n == at ? 2 : 1;
    }
    return 0;
}

#define REAL(name, result, ...)                                  \
    static result (*real)(__VA_ARGS__);                          \
    if (!real) real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

/* A full disk takes half of a write, and nothing of the next. */
#define HALVED(count, half)                                      \
    if (below_fd(fd)) {                                          \
        int found = fault(SPACE);                                \
        if (found == 1 || (found == 2 && (count) < 2)) {         \
            if (mode == TEAR) die();                             \
            errno = ENOSPC;                                      \
            return -1;                                           \
        }                                                        \
        if (found == 2) {                                        \
            ssize_t written = half;                              \
            if (mode == TEAR) die();                             \
            if (mode == ONCE) { errno = ENOSPC; return -1; }     \
            return written;                                      \
        }                                                        \
    }

ssize_t write(int fd, const void *data, size_t count) {
    REAL("write", ssize_t, int, const void *, size_t);
    HALVED(count, real(fd, data, count / 2))
    return real(fd, data, count);
}

ssize_t pwrite(int fd, const void *data, size_t count, off_t from) {
    REAL("pwrite", ssize_t, int, const void *, size_t, off_t);
    HALVED(count, real(fd, data, count / 2, from))
    return real(fd, data, count, from);
}

ssize_t pwrite64(int fd, const void *data, size_t count, off64_t from) {
    REAL("pwrite64", ssize_t, int, const void *, size_t, off64_t);
    HALVED(count, real(fd, data, count / 2, from))
    return real(fd, data, count, from);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL("writev", ssize_t, int, const struct iovec *, int);
    HALVED((size_t)count, real(fd, parts, count / 2))
    return real(fd, parts, count);
}

/* Calls that are not torn: they happen or not. */
#define WHOLE(touched, need)                                     \
    if (touched) {                                               \
        int found = fault(need);                                 \
        if (found && mode == TEAR) die();                        \
        if (found) { errno = ENOSPC; return -1; }                \
    }

int fsync(int fd) {
    REAL("fsync", int, int);
    WHOLE(below_fd(fd), SPACE)
    return real(fd);
}

int fdatasync(int fd) {
    REAL("fdatasync", int, int);
    WHOLE(below_fd(fd), SPACE)
    return real(fd);
}

int ftruncate(int fd, off_t length) {
    REAL("ftruncate", int, int, off_t);
    WHOLE(below_fd(fd), SPACE)
    return real(fd, length);
}

int ftruncate64(int fd, off64_t length) {
    REAL("ftruncate64", int, int, off64_t);
    WHOLE(below_fd(fd), SPACE)
    return real(fd, length);
}

int rename(const char *from, const char *to) {
    REAL("rename", int, const char *, const char *);
    WHOLE(below(from) || below(to), A_NAME)
    return real(from, to);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to) {
    REAL("renameat", int, int, const char *, int, const char *);
    WHOLE(below_at(from_fd, from) || below_at(to_fd, to), A_NAME)
    return real(from_fd, from, to_fd, to);
}

int mkdir(const char *path, mode_t rights) {
    REAL("mkdir", int, const char *, mode_t);
    WHOLE(below(path), SPACE)
    return real(path, rights);
}

int mkdirat(int fd, const char *path, mode_t rights) {
    REAL("mkdirat", int, int, const char *, mode_t);
    WHOLE(below_at(fd, path), SPACE)
    return real(fd, path, rights);
}

int unlink(const char *path) {
    REAL("unlink", int, const char *);
    WHOLE(below(path), NO_SPACE)
    return real(path);
}

int unlinkat(int fd, const char *path, int flags) {
    REAL("unlinkat", int, int, const char *, int);
    WHOLE(below_at(fd, path), NO_SPACE)
    return real(fd, path, flags);
}

int rmdir(const char *path) {
    REAL("rmdir", int, const char *);
    WHOLE(below(path), NO_SPACE)
    return real(path);
}

#define OPENING(name, at_fd)                                     \
    mode_t rights = 0;                                           \
    if (flags & (O_CREAT | O_TMPFILE)) {                         \
        va_list more;                                            \
        va_start(more, flags);                                   \
        rights = va_arg(more, mode_t);                           \
        va_end(more);                                            \
    }                                                            \
    int known = !(flags & O_CREAT) || !faccessat(at_fd, path, F_OK, 0); \
    WHOLE((flags & (O_CREAT | O_TRUNC)) && below_at(at_fd, path), known ? NO_SPACE : SPACE)

int open(const char *path, int flags, ...) {
    REAL("open", int, const char *, int, ...);
    OPENING("open", AT_FDCWD)
    return real(path, flags, rights);
}

int open64(const char *path, int flags, ...) {
    REAL("open64", int, const char *, int, ...);
    OPENING("open64", AT_FDCWD)
    return real(path, flags, rights);
}

int openat(int fd, const char *path, int flags, ...) {
    REAL("openat", int, int, const char *, int, ...);
    OPENING("openat", fd)
    return real(fd, path, flags, rights);
}

int openat64(int fd, const char *path, int flags, ...) {
    REAL("openat64", int, int, const char *, int, ...);
    OPENING("openat64", fd)
    return real(fd, path, flags, rights);
}
