/* Peers of nats-server in C, straight on its text protocol: an echo worker and a load generator, for
 * the broker bench. It must not know our code. Usage:
 *   nats worker PORT SUBJECT | nats load PORT SUBJECT CLIENTS WINDOW SIZE MS RATE
 * @see NATS client protocol */
#define _GNU_SOURCE
#include "load.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

enum { CLIENTS_MAX = 256, ROOM = 1 << 20, LINE_MAX_BYTES = 512 };

/* One connection: what was read and not yet understood, what is to be written. */
typedef struct {
  int fd;
  char *in, *out;
  size_t held, pending;
} line_t;

static line_t dial(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  line_t line = {.fd = socket(AF_INET, SOCK_STREAM, 0), .in = malloc(ROOM), .out = malloc(ROOM)};
  int yes = 1;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(line.fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (connect(line.fd, (struct sockaddr *)&address, sizeof address) != 0) exit(1);
  return line;
}

static void flush(line_t *line) {
  size_t done = 0;
  while (done < line->pending) {
    ssize_t size = write(line->fd, line->out + done, line->pending - done);
    if (size <= 0) exit(1);
    done += size;
  }
  line->pending = 0;
}

static void say(line_t *line, const void *bytes, size_t size) {
  if (line->pending + size > ROOM) flush(line);
  memcpy(line->out + line->pending, bytes, size);
  line->pending += size;
}

static void say_text(line_t *line, const char *text) { say(line, text, strlen(text)); }

/* A message: its subject, where to reply, its bytes. */
typedef struct {
  char subject[128], reply[128];
  char *bytes;
  size_t size;
} heard_t;

/* Takes the next whole message at `*at`. @returns 0 when there is none yet. */
static int next_message(line_t *line, size_t *at, heard_t *heard) {
  for (;;) {
    char *start = line->in + *at, word[LINE_MAX_BYTES];
    char *end = memmem(start, line->held - *at, "\r\n", 2);
    if (end == NULL) return 0;
    size_t length = end - start;
    if (strncmp(start, "MSG ", 4) != 0) {
      if (!strncmp(start, "PING", 4)) say_text(line, "PONG\r\n");
      if (!strncmp(start, "-ERR", 4)) exit(1);
      *at += length + 2;
      continue;
    }
    if (length >= sizeof word) exit(1);
    memcpy(word, start, length);
    word[length] = 0;
    int fields = sscanf(word, "MSG %127s %*s %127s %zu", heard->subject, heard->reply, &heard->size);
    if (fields == 2) heard->size = strtoul(heard->reply, NULL, 10);
    if (*at + length + 2 + heard->size + 2 > line->held) return 0;
    heard->bytes = end + 2;
    *at += length + 2 + heard->size + 2;
    return 1;
  }
}

static void read_more(line_t *line) {
  ssize_t size = read(line->fd, line->in + line->held, ROOM - line->held);
  if (size <= 0) exit(1);
  line->held += size;
}

static void keep_rest(line_t *line, size_t at) {
  memmove(line->in, line->in + at, line->held - at);
  line->held -= at;
}

static void worker(int port, const char *subject) {
  line_t line = dial(port);
  char text[256];
  snprintf(text, sizeof text, "CONNECT {\"verbose\":false}\r\nSUB %s echo 1\r\nPING\r\n", subject);
  say_text(&line, text);
  flush(&line);
  printf("ready\n");
  fflush(stdout);
  for (heard_t heard;;) {
    size_t at = 0;
    read_more(&line);
    while (next_message(&line, &at, &heard)) {
      int size = snprintf(text, sizeof text, "PUB %s %zu\r\n", heard.reply, heard.size);
      say(&line, text, size);
      say(&line, heard.bytes, heard.size + 2);
    }
    keep_rest(&line, at);
    flush(&line);
  }
}

static void ask(load_t *load, line_t *line, const char *subject, int client, int slot, double us) {
  char text[256];
  int size = snprintf(text, sizeof text, "PUB %s _INBOX.%d.%d %d\r\n", subject, client, slot,
                      load->size);
  const unsigned char *body = load_ask(load, client, slot, us);
  say(line, text, size);
  say(line, body, load->size);
  say(line, "\r\n", 2);
}

static void hear(load_t *load, line_t *line, const char *subject, int client) {
  size_t at = 0;
  heard_t heard;
  read_more(line);
  while (next_message(line, &at, &heard)) {
    double at_us = now_us();
    int slot = load_answer(load, client, heard.bytes, heard.size, at_us);
    if (slot >= 0 && load->rate == 0 && at_us < load->until_us) {
      ask(load, line, subject, client, slot, at_us);
    }
  }
  keep_rest(line, at);
}

static void generate(int port, const char *subject, load_t load) {
  static line_t lines[CLIENTS_MAX];
  struct pollfd waiting[CLIENTS_MAX];
  char text[256];
  if (load.clients > CLIENTS_MAX) exit(2);
  for (int client = 0; client < load.clients; client++) {
    lines[client] = dial(port);
    waiting[client] = (struct pollfd){.fd = lines[client].fd, .events = POLLIN};
    snprintf(text, sizeof text, "CONNECT {\"verbose\":false}\r\nSUB _INBOX.%d.* 1\r\n", client);
    say_text(&lines[client], text);
  }
  load_begin(&load);
  for (int client = 0; load.rate == 0 && client < load.clients; client++) {
    for (int slot = 0; slot < load.window; slot++) {
      ask(&load, &lines[client], subject, client, slot, now_us());
    }
  }
  for (double at_us = now_us(); !load_is_over(&load, at_us); at_us = now_us()) {
    int client, slot;
    double since_us;
    while (load.rate > 0 && load_due(&load, at_us, &client, &slot, &since_us)) {
      ask(&load, &lines[client], subject, client, slot, since_us);
    }
    for (int at = 0; at < load.clients; at++) flush(&lines[at]);
    double wait_us = 20000;
    if (load.rate > 0 && load.due_us < load.until_us && load.due_us - at_us < wait_us) {
      wait_us = load.due_us > at_us ? load.due_us - at_us : 0;
    }
    struct timespec time = {0, (long)(wait_us * 1e3)};
    ppoll(waiting, load.clients, &time, NULL);
    for (int at = 0; at < load.clients; at++) {
      if (waiting[at].revents != 0) hear(&load, &lines[at], subject, at);
    }
  }
  load_print(&load);
}

int main(int count, char **words) {
  if (count == 4 && !strcmp(words[1], "worker")) worker(atoi(words[2]), words[3]);
  else if (count == 9 && !strcmp(words[1], "load")) {
    generate(atoi(words[2]), words[3], load_of(words + 4));
  } else return 2;
  return 0;
}
