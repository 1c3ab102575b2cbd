/* Peers of the broker bench in C on libzmq: a broker that only routes, echo workers of RFC 18 and of
 * our own dialect (64 requests at once, as the routing broker gives them), a load generator.
 * It must not know our code. Usage: mdp ROLE ENDPOINT [WINDOW MS] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

enum { PARTS_MAX = 16, WORKERS_MAX = 64, ROUNDS_MAX = 8000000 };

typedef struct {
  zmq_msg_t part[PARTS_MAX];
  int count;
} message_t;

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static int receive(void *socket, message_t *message, int flags) {
  message->count = 0;
  for (;;) {
    zmq_msg_t part;
    zmq_msg_init(&part);
    if (zmq_msg_recv(&part, socket, flags) < 0) return 0;
    int more = zmq_msg_more(&part);
    if (message->count < PARTS_MAX) message->part[message->count++] = part;
    else zmq_msg_close(&part);
    if (!more) return 1;
  }
}

static void forget(message_t *message) {
  for (int at = 0; at < message->count; at++) zmq_msg_close(&message->part[at]);
}

static void put(void *socket, const char *bytes, size_t size, int more) {
  zmq_send(socket, bytes, size, more ? ZMQ_SNDMORE : 0);
}

static int is(zmq_msg_t *part, const char *text) {
  return zmq_msg_size(part) == strlen(text) && !memcmp(zmq_msg_data(part), text, strlen(text));
}

static int byte_of(zmq_msg_t *part) {
  return zmq_msg_size(part) == 1 ? *(unsigned char *)zmq_msg_data(part) : 0;
}

static void pass(void *socket, message_t *message, int from) {
  for (int at = from; at < message->count; at++) {
    zmq_msg_send(&message->part[at], socket, at + 1 < message->count ? ZMQ_SNDMORE : 0);
  }
}

static void broker(void *context, const char *endpoint) {
  void *socket = zmq_socket(context, ZMQ_ROUTER);
  if (zmq_bind(socket, endpoint) != 0) exit(1);
  printf("ready\n");
  fflush(stdout);
  char workers[WORKERS_MAX][256];
  size_t sizes[WORKERS_MAX];
  int known = 0, next = 0;
  message_t m;
  while (receive(socket, &m, 0)) {
    int command = m.count > 2 ? byte_of(&m.part[2]) : 0;
    if (m.count > 4 && is(&m.part[1], "MDPC02") && known > 0) {
      put(socket, workers[next], sizes[next], 1);
      next = (next + 1) % known;
      put(socket, "MDPW02", 6, 1);
      put(socket, "\2", 1, 1);
      zmq_msg_send(&m.part[0], socket, ZMQ_SNDMORE);
      put(socket, "", 0, 1);
      pass(socket, &m, 4);
    } else if (m.count > 5 && command == 4) {
      zmq_msg_send(&m.part[3], socket, ZMQ_SNDMORE);
      put(socket, "MDPC02", 6, 1);
      put(socket, "\3", 1, 1);
      put(socket, "bench", 5, 1);
      pass(socket, &m, 5);
    } else if (command == 1 && m.count > 3 && is(&m.part[1], "MDPW02") && known < WORKERS_MAX) {
      sizes[known] = zmq_msg_size(&m.part[0]);
      memcpy(workers[known], zmq_msg_data(&m.part[0]), sizes[known]);
      known++;
    }
    forget(&m);
  }
}

static void worker(void *context, const char *endpoint, const char *header) {
  void *socket = zmq_socket(context, ZMQ_DEALER);
  int is_plant = !strcmp(header, "PLNW01");
  zmq_connect(socket, endpoint);
  put(socket, header, 6, 1);
  put(socket, "\1", 1, 1);
  put(socket, "bench", 5, is_plant);
  if (is_plant) put(socket, "\0\0\0\100", 4, 0);
  printf("ready\n");
  fflush(stdout);
  message_t m;
  while (receive(socket, &m, 0)) {
    int command = m.count > 1 ? byte_of(&m.part[1]) : 0;
    if (command == 2 || command == 5) put(socket, header, 6, 1);
    if (command == 5) put(socket, "\5", 1, 0);
    else if (command == 2) {
      put(socket, "\4", 1, 1);
      pass(socket, &m, 2);
    }
    forget(&m);
  }
}

static int ascending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return x < y ? -1 : x > y;
}

static void ask(void *socket) {
  char body[64] = {0};
  double sent = now_us();
  memcpy(body, &sent, sizeof sent);
  put(socket, "MDPC02", 6, 1);
  put(socket, "\1", 1, 1);
  put(socket, "bench", 5, 1);
  put(socket, body, sizeof body, 0);
}

static void load(void *context, const char *endpoint, int window, int ms) {
  void *socket = zmq_socket(context, ZMQ_DEALER);
  int timeout = 3000;
  zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout, sizeof timeout);
  zmq_connect(socket, endpoint);
  float *waits = malloc(ROUNDS_MAX * sizeof *waits);
  long count = 0;
  double from = now_us(), until = from + ms * 1e3, now = from;
  for (int at = 0; at < window; at++) ask(socket);
  message_t m;
  while (now < until && receive(socket, &m, 0)) {
    double sent;
    now = now_us();
    memcpy(&sent, zmq_msg_data(&m.part[m.count - 1]), sizeof sent);
    if (count < ROUNDS_MAX) waits[count] = (float)(now - sent);
    count++;
    ask(socket);
    forget(&m);
  }
  long kept = count < ROUNDS_MAX ? count : ROUNDS_MAX;
  qsort(waits, kept, sizeof *waits, ascending);
  printf("{\"count\":%ld,\"ms\":%.1f,\"p50us\":%.1f,\"p99us\":%.1f}\n", count, (now - from) / 1e3,
         kept ? waits[kept / 2] : 0, kept ? waits[kept * 99 / 100] : 0);
  free(waits);
  zmq_close(socket);
}

int main(int count, char **words) {
  if (count < 3) return 2;
  void *context = zmq_ctx_new();
  int linger = 0;
  zmq_ctx_set(context, ZMQ_BLOCKY, linger);
  if (!strcmp(words[1], "broker")) broker(context, words[2]);
  else if (!strcmp(words[1], "worker")) worker(context, words[2], "MDPW02");
  else if (!strcmp(words[1], "plant-worker")) worker(context, words[2], "PLNW01");
  else if (count == 5) load(context, words[2], atoi(words[3]), atoi(words[4]));
  return 0;
}
