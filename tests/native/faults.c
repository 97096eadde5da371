// Stands before the C library's file operations in a process of the tests (LD_PRELOAD): counts those under one folder,
// and lets the one that it was told to fail, or kills the process there.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static char folder[4096];
static long seen, fatal;
static int failure;  // an errno, or 0 to kill
static char watched[4096];

// Operations under `path` count from 1; number `at` fails, none where that is 0.
void faults_arm(const char* path, long at, int error) {
  strncpy(folder, path, sizeof folder - 1);
  memset(watched, 0, sizeof watched);
  seen = 0, fatal = at, failure = error;
}

long faults_seen(void) { return seen; }

static int fails(void) {
  if (++seen != fatal) return 0;
  if (!failure) kill(getpid(), SIGKILL);
  errno = failure;
  return 1;
}

static int inside(const char* path) { return folder[0] && !strncmp(path, folder, strlen(folder)); }

static int of_watched(int file) { return file >= 0 && file < (int)sizeof watched && watched[file]; }

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int kept(int file, int ours) {
  if (file >= 0 && file < (int)sizeof watched) watched[file] = (char)ours;
  return file;
}

#define OPEN(name)                                                                     \
  int name(const char* path, int flags, ...) {                                         \
    va_list more;                                                                      \
    va_start(more, flags);                                                             \
    const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(more, mode_t) : 0;    \
    va_end(more);                                                                      \
    const int ours = inside(path);                                                     \
    if (ours && fails()) return -1;                                                    \
    return kept(REAL(name)(path, flags, mode), ours);                                  \
  }

OPEN(open)
OPEN(open64)

#define ON_PATH(type, name, parameters, path, call) \
  type name parameters { return inside(path) && fails() ? (type)-1 : REAL(name) call; }

ON_PATH(int, rename, (const char* from, const char* to), from, (from, to))
ON_PATH(int, unlink, (const char* path), path, (path))
ON_PATH(int, rmdir, (const char* path), path, (path))
ON_PATH(int, mkdir, (const char* path, mode_t mode), path, (path, mode))

#define ON_FILE(type, name, parameters, call) \
  type name parameters { return of_watched(file) && fails() ? (type)-1 : REAL(name) call; }

ON_FILE(ssize_t, write, (int file, const void* from, size_t count), (file, from, count))
ON_FILE(ssize_t, read, (int file, void* to, size_t count), (file, to, count))
ON_FILE(int, fsync, (int file), (file))
