/* Very many clients of a broker in one process, for the broker bench: ZMTP 3.1 by hand on a unix
 * socket, since every socket of libzmq costs three descriptors. Some ask, one request at a time in
 * our own dialect; the others only stand. It must not know our code. Usage:
 *   crowd PATH SERVICE CONNECTIONS ACTIVE MS
 * Says "ready" when all stand, prints a line of JSON after MS, and stays until it is ended.
 * @see RFC 37 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { GREETING = 64, ROOM = 512, BODY = 64, EVENTS_MAX = 512, HEAD = 29 };

typedef struct {
  int fd, held, is_greeted, is_up, frames;
  unsigned char room[ROOM], body[BODY];
  uint32_t asked;
} line_t;

static line_t *lines;
static const char *service;
static long answers, wrong, lost;
static int standing, is_asking;

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void put(line_t *line, const unsigned char *bytes, size_t size) {
  if (write(line->fd, bytes, size) != (ssize_t)size) lost++;
}

static void greet(line_t *line) {
  unsigned char bytes[GREETING + 43] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1, 'N', 'U', 'L', 'L'};
  memcpy(bytes + GREETING, "\4\51\5READY\13Socket-Type\0\0\0\6DEALER\10Identity\0\0\0\0", 43);
  put(line, bytes, sizeof bytes);
}

static size_t frame(unsigned char *out, int flags, const void *bytes, size_t size) {
  out[0] = flags;
  out[1] = (unsigned char)size;
  memcpy(out + 2, bytes, size);
  return 2 + size;
}

static void ask(line_t *line) {
  unsigned char out[ROOM], head[HEAD] = {0};
  uint32_t words[2] = {(uint32_t)(line - lines), ++line->asked};
  memcpy(line->body, words, sizeof words);
  memcpy(head + 4, &line->asked, 4);
  head[10] = 0x75, head[11] = 0x30; /* 30,000 ms left */
  size_t size = frame(out, 1, "PLNC01", 6);
  size += frame(out + size, 1, "\1", 1);
  size += frame(out + size, 1, service, strlen(service));
  size += frame(out + size, 1, head, HEAD);
  size += frame(out + size, 0, line->body, BODY);
  put(line, out, size);
}

static void hear_command(line_t *line, const unsigned char *bytes, size_t size) {
  if (size >= 6 && !memcmp(bytes, "\5READY", 6) && !line->is_up) {
    line->is_up = 1;
    standing++;
  } else if (size >= 7 && !memcmp(bytes, "\4PING", 5)) {
    unsigned char out[ROOM], pong[32];
    size_t context = size - 7 > 16 ? 16 : size - 7;
    memcpy(pong, "\4PONG", 5);
    memcpy(pong + 5, bytes + 7, context);
    put(line, out, frame(out, 4, pong, 5 + context));
  }
}

/* @param is_last whether a whole message is there: its fifth frame is the body. */
static void hear_frame(line_t *line, const unsigned char *bytes, size_t size, int is_last) {
  line->frames++;
  if (line->frames == 2 && (size != 1 || bytes[0] != 3)) wrong++;
  if (!is_last) return;
  if (line->frames != 5 || size != BODY || memcmp(bytes, line->body, BODY)) wrong++;
  else answers++;
  line->frames = 0;
  if (is_asking) ask(line);
}

static void hear(line_t *line) {
  ssize_t size = read(line->fd, line->room + line->held, ROOM - line->held);
  if (size <= 0) {
    if (size == 0 || errno != EAGAIN) close(line->fd), lost++;
    return;
  }
  line->held += size;
  int at = 0;
  if (!line->is_greeted && line->held >= GREETING) line->is_greeted = 1, at = GREETING;
  while (line->is_greeted && line->held - at >= 2 && line->held - at >= 2 + line->room[at + 1]) {
    int flags = line->room[at], length = line->room[at + 1];
    if (flags & 2) exit(1);
    if (flags & 4) hear_command(line, line->room + at + 2, length);
    else hear_frame(line, line->room + at + 2, length, !(flags & 1));
    at += 2 + length;
  }
  memmove(line->room, line->room + at, line->held - at);
  line->held -= at;
}

static int watch;

static void turn(int wait_ms) {
  struct epoll_event events[EVENTS_MAX];
  int count = epoll_wait(watch, events, EVENTS_MAX, wait_ms);
  for (int at = 0; at < count; at++) hear(events[at].data.ptr);
}

static void stand(line_t *line, const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = line}};
  struct timeval patience = {5, 0};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  line->fd = socket(AF_UNIX, SOCK_STREAM, 0);
  setsockopt(line->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (line->fd < 0 || connect(line->fd, (struct sockaddr *)&address, sizeof address) != 0) {
    perror("connect");
    exit(1);
  }
  greet(line);
  epoll_ctl(watch, EPOLL_CTL_ADD, line->fd, &event);
}

int main(int count, char **words) {
  if (count != 6) return 2;
  int all = atoi(words[3]), active = atoi(words[4]);
  double patience = now_ms() + 20000;
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  service = words[2];
  lines = calloc(all, sizeof *lines);
  watch = epoll_create1(0);
  for (int at = 0; at < all; at++) {
    stand(&lines[at], words[1]);
    if (at % 64 == 63) turn(0);
  }
  while (standing < all && now_ms() < patience) turn(100);
  if (standing < all) {
    fprintf(stderr, "%d of %d connections stand\n", standing, all);
    return 1;
  }
  printf("ready\n");
  fflush(stdout);
  double until = now_ms() + atoi(words[5]);
  is_asking = 1;
  for (int at = 0; at < active; at++) ask(&lines[at]);
  while (now_ms() < until) turn(20);
  printf("{\"count\":%ld,\"wrong\":%ld,\"lost\":%ld}\n", answers, wrong, lost);
  fflush(stdout);
  is_asking = 0;
  for (;;) turn(1000);
}
