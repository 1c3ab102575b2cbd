// Preloaded into a process: records what it writes, flushes and names below a folder, in order over
// all threads, and can fail the N-th write or flush. It must not know what the files hold.
//
// Environment:
//   POWER_FOLDER  files and folders below this one are recorded; without it nothing is
//   POWER_LOG     the record is appended here
//   POWER_MARKS   what is written to this file is recorded as a mark: the process says what it did
//   POWER_BOOT    opened in the place of the kernel's boot id: the machine was started anew since
//   POWER_FAULT   "write:7" fails the seventh write with EIO, "flush:7" the seventh flush, and
//                 "write:7+" every one from there on
//
// One entry of the record, integers little-endian: kind u8 | flags u8 | path bytes u16 | data bytes
// u32 | inode u64 | number u64 | path | data.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CREATED = 'c', OPENED = 'o', MADE = 'd', WRITTEN = 'w', RESIZED = 't', FLUSHED = 'f' };
enum { RENAMED = 'r', REMOVED = 'u', LINKED = 'l', MARKED = 'm', MAPPED = 'x', FAILED = 'e' };
enum { IS_FLUSHED = 1, IS_FOLDER = 2 };

// The kernel itself: what is called by number from outside is looked at below.
static long kernel(long number, ...) {
  static long (*call)(long, ...);
  if (call == NULL) call = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  va_list rest;
  va_start(rest, number);
  long a = va_arg(rest, long), b = va_arg(rest, long), c = va_arg(rest, long);
  long d = va_arg(rest, long), e = va_arg(rest, long), f = va_arg(rest, long);
  va_end(rest);
  return call(number, a, b, c, d, e, f);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *folder, *marks, *boot;
static size_t folderLength;
static int logFile = -1;
static char faultKind;
static long faultAt, faultsSeen;
static int faultStays;

// Inodes that are recorded: a handful, so a row of them is enough.
#define INODES 4096
static ino_t inodes[INODES];
static dev_t device;
static int inodeCount;
static ino_t marksInode;

__attribute__((constructor)) static void start(void) {
  folder = getenv("POWER_FOLDER");
  marks = getenv("POWER_MARKS");
  boot = getenv("POWER_BOOT");
  const char *log = getenv("POWER_LOG"), *fault = getenv("POWER_FAULT");
  if (folder == NULL) return;
  folderLength = strlen(folder);
  if (fault != NULL && fault[0] != 0) {
    const char *at = strchr(fault, ':');
    faultKind = fault[0];
    faultAt = at == NULL ? 0 : strtol(at + 1, NULL, 10);
    faultStays = fault[strlen(fault) - 1] == '+';
  }
  if (log == NULL) return;
  int opened = (int)kernel(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (opened < 0) abort();
  // Out of the way of what the process itself opens.
  logFile = (int)kernel(SYS_fcntl, opened, F_DUPFD_CLOEXEC, 800);
  kernel(SYS_close, opened);
}

static void put(uint8_t kind, uint8_t flags, ino_t inode, uint64_t number, const char *path,
                const void *data, size_t bytes) {
  if (logFile < 0) return;
  uint8_t head[24];
  uint16_t pathBytes = path == NULL ? 0 : (uint16_t)strlen(path);
  uint32_t dataBytes = (uint32_t)bytes;
  uint64_t inode64 = inode;
  head[0] = kind;
  head[1] = flags;
  memcpy(head + 2, &pathBytes, 2);
  memcpy(head + 4, &dataBytes, 4);
  memcpy(head + 8, &inode64, 8);
  memcpy(head + 16, &number, 8);
  struct iovec parts[3] = {
      {head, sizeof head}, {(void *)path, pathBytes}, {(void *)data, bytes}};
  ssize_t want = (ssize_t)(sizeof head + pathBytes + bytes);
  // A record with a hole proves nothing.
  if (kernel(SYS_writev, logFile, parts, 3) != want) abort();
}

// The absolute path of a name, in `into`; whether it lies in the folder.
static int resolve(int at, const char *name, char *into, size_t room) {
  if (folder == NULL || name == NULL) return 0;
  if (name[0] == '/') {
    if (snprintf(into, room, "%s", name) >= (int)room) return 0;
  } else {
    char link[64], base[2048];
    if (at == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", at);
    ssize_t length = readlink(link, base, sizeof base - 1);
    if (length < 0) return 0;
    base[length] = 0;
    if (snprintf(into, room, "%s/%s", base, name) >= (int)room) return 0;
  }
  size_t length = strlen(into);
  while (length > 1 && into[length - 1] == '/') into[--length] = 0;
  return strncmp(into, folder, folderLength) == 0 &&
         (into[folderLength] == '/' || into[folderLength] == 0);
}

static int isKnown(const struct stat *facts) {
  if (facts->st_dev != device) return 0;
  for (int at = 0; at < inodeCount; at += 1)
    if (inodes[at] == facts->st_ino) return 1;
  return 0;
}

static void know(const struct stat *facts) {
  device = facts->st_dev;
  if (isKnown(facts)) return;
  if (inodeCount == INODES) abort();
  inodes[inodeCount++] = facts->st_ino;
}

static void forget(ino_t inode) {
  for (int at = 0; at < inodeCount; at += 1)
    if (inodes[at] == inode) inodes[at] = inodes[--inodeCount];
}

// Facts of an open file that is recorded.
static int recorded(int file, struct stat *facts) {
  if (folder == NULL) return 0;
  int before = errno;
  int is = fstat(file, facts) == 0 && isKnown(facts);
  errno = before;
  return is;
}

static int isMarks(int file) {
  struct stat facts;
  if (marksInode == 0) return 0;
  return fstat(file, &facts) == 0 && facts.st_ino == marksInode;
}

static int isSynchronous(int file) {
  return (kernel(SYS_fcntl, file, F_GETFL) & (O_DSYNC | O_SYNC)) != 0;
}

// Whether this one is to fail.
static int fails(char kind) {
  if (faultKind != kind) return 0;
  faultsSeen += 1;
  return faultsSeen == faultAt || (faultStays && faultsSeen > faultAt);
}

static int openAny(int at, const char *name, int flags, mode_t mode) {
  char path[4096];
  if (boot != NULL && name != NULL && strcmp(name, "/proc/sys/kernel/random/boot_id") == 0)
    name = boot;
  if (!resolve(at, name, path, sizeof path)) {
    int file = (int)kernel(SYS_openat, at, name, flags, mode);
    struct stat facts;
    if (file >= 0 && marks != NULL && strcmp(name, marks) == 0 && fstat(file, &facts) == 0)
      marksInode = facts.st_ino;
    return file;
  }
  pthread_mutex_lock(&lock);
  struct stat before, after;
  int was = stat(path, &before) == 0;
  int file = (int)kernel(SYS_openat, at, name, flags, mode);
  int error = errno;
  if (file >= 0 && fstat(file, &after) == 0) {
    int isFolder = S_ISDIR(after.st_mode);
    know(&after);
    put(was ? OPENED : CREATED, isFolder ? IS_FOLDER : 0, after.st_ino, 0, path, NULL, 0);
    if (was && (flags & O_TRUNC) && before.st_size > 0)
      put(RESIZED, 0, after.st_ino, 0, NULL, NULL, 0);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return file;
}

#define OPENING(name)                                   \
  int name(const char *path, int flags, ...) {          \
    va_list rest;                                       \
    va_start(rest, flags);                              \
    mode_t mode = va_arg(rest, mode_t);                 \
    va_end(rest);                                       \
    return openAny(AT_FDCWD, path, flags, mode);        \
  }
#define OPENING_AT(name)                                \
  int name(int at, const char *path, int flags, ...) {  \
    va_list rest;                                       \
    va_start(rest, flags);                              \
    mode_t mode = va_arg(rest, mode_t);                 \
    va_end(rest);                                       \
    return openAny(at, path, flags, mode);              \
  }
OPENING(open)
OPENING(open64)
OPENING_AT(openat)
OPENING_AT(openat64)

int creat(const char *path, mode_t mode) {
  return openAny(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int creat64(const char *path, mode_t mode) { return creat(path, mode); }

// Writes rows of bytes; `offset` -1 means where the file stands.
static ssize_t writeAny(int file, const struct iovec *parts, int count, off_t offset) {
  struct stat facts;
  int isMark = isMarks(file);
  if (!isMark && !recorded(file, &facts)) {
    if (offset < 0) return kernel(SYS_writev, file, parts, count);
    return kernel(SYS_pwritev, file, parts, count, (long)offset, 0L);
  }
  pthread_mutex_lock(&lock);
  int synchronous = isSynchronous(file);
  int fault = !isMark && fails('w');
  off_t at = offset;
  if (at < 0 && !isMark) {
    int isAppending = (kernel(SYS_fcntl, file, F_GETFL) & O_APPEND) != 0;
    fstat(file, &facts);
    at = isAppending ? facts.st_size : (off_t)kernel(SYS_lseek, file, 0L, SEEK_CUR);
  }
  ssize_t done = -1;
  // What is written through fails after it has reached the kernel's memory.
  if (!fault || synchronous)
    done = offset < 0 ? kernel(SYS_writev, file, parts, count)
                      : kernel(SYS_pwritev, file, parts, count, (long)offset, 0L);
  int error = errno;
  if (done > 0) {
    static uint8_t *bytes;
    static size_t room;
    size_t want = (size_t)done, have = 0;
    if (room < want) {
      bytes = realloc(bytes, want);
      room = want;
      if (bytes == NULL) abort();
    }
    for (int part = 0; part < count && have < want; part += 1) {
      size_t most = parts[part].iov_len < want - have ? parts[part].iov_len : want - have;
      memcpy(bytes + have, parts[part].iov_base, most);
      have += most;
    }
    if (isMark) put(MARKED, 0, 0, 0, NULL, bytes, want);
    else
      put(WRITTEN, synchronous && !fault ? IS_FLUSHED : 0, facts.st_ino, (uint64_t)at, NULL, bytes,
          want);
  }
  if (fault) {
    put(FAILED, 0, facts.st_ino, 'w', NULL, NULL, 0);
    done = -1;
    error = EIO;
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return done;
}

ssize_t write(int file, const void *bytes, size_t count) {
  struct iovec part = {(void *)bytes, count};
  return writeAny(file, &part, 1, -1);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
  struct iovec part = {(void *)bytes, count};
  return writeAny(file, &part, 1, offset);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t offset) {
  return pwrite(file, bytes, count, offset);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
  return writeAny(file, parts, count, -1);
}

ssize_t pwritev(int file, const struct iovec *parts, int count, off_t offset) {
  return writeAny(file, parts, count, offset);
}

ssize_t pwritev64(int file, const struct iovec *parts, int count, off64_t offset) {
  return writeAny(file, parts, count, offset);
}

static int resizeAny(int file, off_t length) {
  struct stat facts;
  if (!recorded(file, &facts)) return (int)kernel(SYS_ftruncate, file, (long)length);
  pthread_mutex_lock(&lock);
  int result = fails('w') ? -1 : (int)kernel(SYS_ftruncate, file, (long)length);
  int error = result < 0 && errno == 0 ? EIO : errno;
  if (result == 0) put(RESIZED, 0, facts.st_ino, (uint64_t)length, NULL, NULL, 0);
  else {
    put(FAILED, 0, facts.st_ino, 'w', NULL, NULL, 0);
    error = EIO;
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int ftruncate(int file, off_t length) { return resizeAny(file, length); }
int ftruncate64(int file, off64_t length) { return resizeAny(file, length); }

int truncate(const char *path, off_t length) {
  int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return -1;
  int result = resizeAny(file, length);
  kernel(SYS_close, file);
  return result;
}

int truncate64(const char *path, off64_t length) { return truncate(path, length); }

// Room that is set aside reads as zeroes: to the record it is a new length, if it gives one.
int fallocate(int file, int mode, off_t offset, off_t length) {
  struct stat facts;
  if (!recorded(file, &facts)) return (int)kernel(SYS_fallocate, file, mode, offset, length);
  pthread_mutex_lock(&lock);
  int result = fails('w') ? -1 : (int)kernel(SYS_fallocate, file, mode, offset, length);
  int error = errno;
  struct stat after;
  if (result == 0 && fstat(file, &after) == 0 && after.st_size != facts.st_size)
    put(RESIZED, 0, facts.st_ino, (uint64_t)after.st_size, NULL, NULL, 0);
  // Holes and shifts are not known here.
  if (result == 0 && (mode & ~FALLOC_FL_KEEP_SIZE) != 0)
    put(MAPPED, 0, facts.st_ino, 0, NULL, NULL, 0);
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int fallocate64(int file, int mode, off64_t offset, off64_t length) {
  return fallocate(file, mode, offset, length);
}

int posix_fallocate(int file, off_t offset, off_t length) {
  return fallocate(file, 0, offset, length) == 0 ? 0 : errno;
}

int posix_fallocate64(int file, off64_t offset, off64_t length) {
  return posix_fallocate(file, offset, length);
}

static int flushAny(int file, long call) {
  struct stat facts;
  if (!recorded(file, &facts)) return (int)kernel(call, file);
  pthread_mutex_lock(&lock);
  int result = -1, error = EIO;
  if (fails('f')) put(FAILED, 0, facts.st_ino, 'f', NULL, NULL, 0);
  else {
    result = (int)kernel(call, file);
    error = errno;
    if (result == 0)
      put(FLUSHED, S_ISDIR(facts.st_mode) ? IS_FOLDER : 0, facts.st_ino, 0, NULL, NULL, 0);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int fsync(int file) { return flushAny(file, SYS_fsync); }
int fdatasync(int file) { return flushAny(file, SYS_fdatasync); }

// It promises nothing about the device's own memory or the length: no flush. @see sync_file_range(2)
int sync_file_range(int file, off64_t offset, off64_t count, unsigned flags) {
  return (int)kernel(SYS_sync_file_range, file, offset, count, flags);
}

int renameat(int fromAt, const char *from, int toAt, const char *to) {
  char source[4096], target[4096];
  int isOurs = resolve(fromAt, from, source, sizeof source);
  isOurs |= resolve(toAt, to, target, sizeof target);
  if (!isOurs) return (int)kernel(SYS_renameat2, fromAt, from, toAt, to, 0);
  pthread_mutex_lock(&lock);
  struct stat facts, old;
  int was = stat(target, &old) == 0;
  int result = (int)kernel(SYS_renameat2, fromAt, from, toAt, to, 0);
  int error = errno;
  if (result == 0 && stat(target, &facts) == 0) {
    if (was && old.st_nlink == 1 && old.st_ino != facts.st_ino) forget(old.st_ino);
    know(&facts);
    uint8_t flags = S_ISDIR(facts.st_mode) ? IS_FOLDER : 0;
    put(RENAMED, flags, facts.st_ino, 0, source, target, strlen(target));
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int renameat2(int fromAt, const char *from, int toAt, const char *to, unsigned flags) {
  if (flags == 0) return renameat(fromAt, from, toAt, to);
  errno = EINVAL;
  return -1;
}

int unlinkat(int at, const char *name, int flags) {
  char path[4096];
  if (!resolve(at, name, path, sizeof path)) return (int)kernel(SYS_unlinkat, at, name, flags);
  pthread_mutex_lock(&lock);
  struct stat facts;
  int was = lstat(path, &facts) == 0;
  int result = (int)kernel(SYS_unlinkat, at, name, flags);
  int error = errno;
  if (result == 0 && was) {
    if (S_ISDIR(facts.st_mode) || facts.st_nlink == 1) forget(facts.st_ino);
    put(REMOVED, S_ISDIR(facts.st_mode) ? IS_FOLDER : 0, facts.st_ino, 0, path, NULL, 0);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int remove(const char *path) {
  struct stat facts;
  if (lstat(path, &facts) != 0) return -1;
  return unlinkat(AT_FDCWD, path, S_ISDIR(facts.st_mode) ? AT_REMOVEDIR : 0);
}

int mkdirat(int at, const char *name, mode_t mode) {
  char path[4096];
  if (!resolve(at, name, path, sizeof path)) return (int)kernel(SYS_mkdirat, at, name, mode);
  pthread_mutex_lock(&lock);
  struct stat facts;
  int result = (int)kernel(SYS_mkdirat, at, name, mode);
  int error = errno;
  if (result == 0 && stat(path, &facts) == 0) {
    know(&facts);
    put(MADE, IS_FOLDER, facts.st_ino, 0, path, NULL, 0);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int linkat(int fromAt, const char *from, int toAt, const char *to, int flags) {
  char target[4096];
  if (!resolve(toAt, to, target, sizeof target))
    return (int)kernel(SYS_linkat, fromAt, from, toAt, to, flags);
  pthread_mutex_lock(&lock);
  struct stat facts;
  int result = (int)kernel(SYS_linkat, fromAt, from, toAt, to, flags);
  int error = errno;
  if (result == 0 && stat(target, &facts) == 0) {
    know(&facts);
    put(LINKED, 0, facts.st_ino, 0, target, NULL, 0);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

// What a mapping changes is not seen: the record says that there is one.
static void *mapAny(void *at, size_t length, int protection, int flags, int file, off_t offset) {
  struct stat facts;
  int isShared = (flags & MAP_SHARED) != 0 && (protection & PROT_WRITE) != 0;
  if (isShared && file >= 0 && recorded(file, &facts)) {
    pthread_mutex_lock(&lock);
    put(MAPPED, 0, facts.st_ino, 0, NULL, NULL, 0);
    pthread_mutex_unlock(&lock);
  }
  return (void *)kernel(SYS_mmap, at, length, protection, flags, file, offset);
}

void *mmap(void *at, size_t length, int protection, int flags, int file, off_t offset) {
  return mapAny(at, length, protection, flags, file, offset);
}

void *mmap64(void *at, size_t length, int protection, int flags, int file, off64_t offset) {
  return mapAny(at, length, protection, flags, file, offset);
}

// Copies within the kernel go through our own write, so that they are seen.
static ssize_t copyAny(int to, int from, off64_t *offset, size_t count) {
  char bytes[65536];
  size_t most = count < sizeof bytes ? count : sizeof bytes;
  ssize_t got = offset == NULL ? read(from, bytes, most) : pread64(from, bytes, most, *offset);
  if (got <= 0) return got;
  ssize_t put = write(to, bytes, (size_t)got);
  if (put > 0 && offset != NULL) *offset += put;
  return put;
}

ssize_t sendfile64(int to, int from, off64_t *offset, size_t count) {
  struct stat facts;
  if (!recorded(to, &facts)) return kernel(SYS_sendfile, to, from, offset, count);
  return copyAny(to, from, offset, count);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t count) {
  return sendfile64(to, from, (off64_t *)offset, count);
}

ssize_t copy_file_range(int from, off64_t *fromAt, int to, off64_t *toAt, size_t count,
                        unsigned flags) {
  struct stat facts;
  if (recorded(to, &facts)) {
    errno = ENOSYS;
    return -1;
  }
  return kernel(SYS_copy_file_range, from, fromAt, to, toAt, count, flags);
}

// Node's libuv asks for some calls by their numbers; a ring of requests would not be seen.
long syscall(long number, ...) {
  va_list rest;
  va_start(rest, number);
  long a = va_arg(rest, long), b = va_arg(rest, long), c = va_arg(rest, long);
  long d = va_arg(rest, long), e = va_arg(rest, long), f = va_arg(rest, long);
  va_end(rest);
  if (folder != NULL && number == SYS_copy_file_range)
    return copy_file_range((int)a, (off64_t *)b, (int)c, (off64_t *)d, (size_t)e, (unsigned)f);
  if (folder != NULL && number == SYS_io_uring_setup) {
    errno = ENOSYS;
    return -1;
  }
  return kernel(number, a, b, c, d, e, f);
}

int ioctl(int file, unsigned long request, ...) {
  va_list rest;
  va_start(rest, request);
  void *argument = va_arg(rest, void *);
  va_end(rest);
  struct stat facts;
  // A file that shares another's blocks would be one without writes.
  if (request == 0x40049409 && recorded(file, &facts)) {
    errno = EOPNOTSUPP;
    return -1;
  }
  return (int)kernel(SYS_ioctl, file, request, argument);
}
