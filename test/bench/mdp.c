/* Peers of the broker bench in C on libzmq, speaking RFC 18 or our own dialect: a broker that only
 * routes, an echo worker, a load generator. It must not know our code. Usage:
 *   mdp broker ENDPOINT | mdp worker ENDPOINT rfc18|plant SERVICE
 *   mdp load ENDPOINT rfc18|plant SERVICE CLIENTS WINDOW SIZE MS RATE */
#define _GNU_SOURCE
#include "load.h"
#include <poll.h>
#include <zmq.h>

enum { PARTS_MAX = 16, WORKERS_MAX = 64, OPEN_MAX = 65536, ID_MAX = 32, PLANT_HEAD = 29 };
enum { CONCURRENCY = 64, CLIENTS_MAX = 256 };

typedef struct {
  zmq_msg_t part[PARTS_MAX];
  int count;
} message_t;

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

static void put(void *socket, const void *bytes, size_t size, int more) {
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

static void number(unsigned char *bytes, uint64_t value) {
  for (int at = 7; at >= 0; at--, value >>= 8) bytes[at] = value & 255;
}

static uint64_t number_of(const unsigned char *bytes) {
  uint64_t value = 0;
  for (int at = 0; at < 8; at++) value = value << 8 | bytes[at];
  return value;
}

/* The routing broker: one ROUTER, one service per dialect, workers in turn. */
typedef struct {
  char id[ID_MAX];
  size_t size;
} peer_t;

typedef struct {
  peer_t client;
  unsigned char id[8];
} open_t;

static peer_t workers[2][WORKERS_MAX];
static int known[2], next[2];
static open_t *asked;
static uint64_t last_id;

static void take_worker(message_t *m, int is_plant) {
  if (known[is_plant] == WORKERS_MAX || zmq_msg_size(&m->part[0]) > ID_MAX) return;
  peer_t *peer = &workers[is_plant][known[is_plant]++];
  peer->size = zmq_msg_size(&m->part[0]);
  memcpy(peer->id, zmq_msg_data(&m->part[0]), peer->size);
}

static void put_worker(void *socket, int is_plant) {
  peer_t *peer = &workers[is_plant][next[is_plant]];
  next[is_plant] = (next[is_plant] + 1) % known[is_plant];
  put(socket, peer->id, peer->size, 1);
  put(socket, is_plant ? "PLNW01" : "MDPW02", 6, 1);
  put(socket, "\2", 1, 1);
}

static void route_plant(void *socket, message_t *m, int is_client) {
  if (m->count < 6 || zmq_msg_size(&m->part[4]) != PLANT_HEAD) return;
  unsigned char *head = zmq_msg_data(&m->part[4]);
  if (is_client) {
    if (known[1] == 0 || zmq_msg_size(&m->part[0]) > ID_MAX) return;
    open_t *one = &asked[++last_id % OPEN_MAX];
    one->client.size = zmq_msg_size(&m->part[0]);
    memcpy(one->client.id, zmq_msg_data(&m->part[0]), one->client.size);
    memcpy(one->id, head, 8);
    number(head, last_id);
    put_worker(socket, 1);
  } else {
    open_t *one = &asked[number_of(head) % OPEN_MAX];
    memcpy(head, one->id, 8);
    put(socket, one->client.id, one->client.size, 1);
    put(socket, "PLNC01", 6, 1);
    put(socket, "\3", 1, 1);
  }
  pass(socket, m, 3);
}

static void route_rfc18(void *socket, message_t *m, const char *service) {
  int command = byte_of(&m->part[2]);
  if (m->count > 4 && is(&m->part[1], "MDPC02") && known[0] > 0) {
    put_worker(socket, 0);
    zmq_msg_send(&m->part[0], socket, ZMQ_SNDMORE);
    put(socket, "", 0, 1);
    pass(socket, m, 4);
  } else if (m->count > 5 && command == 4) {
    zmq_msg_send(&m->part[3], socket, ZMQ_SNDMORE);
    put(socket, "MDPC02", 6, 1);
    put(socket, "\3", 1, 1);
    put(socket, service, strlen(service), 1);
    pass(socket, m, 5);
  }
}

static void broker(void *context, const char *endpoint, const char *service) {
  void *socket = zmq_socket(context, ZMQ_ROUTER);
  int mark = OPEN_MAX;
  zmq_setsockopt(socket, ZMQ_SNDHWM, &mark, sizeof mark);
  zmq_setsockopt(socket, ZMQ_RCVHWM, &mark, sizeof mark);
  if (zmq_bind(socket, endpoint) != 0) exit(1);
  asked = calloc(OPEN_MAX, sizeof *asked);
  printf("ready\n");
  fflush(stdout);
  message_t m;
  while (receive(socket, &m, 0)) {
    if (m.count > 3) {
      int command = byte_of(&m.part[2]);
      int is_plant_worker = is(&m.part[1], "PLNW01");
      if (is(&m.part[1], "PLNC01") && command == 1) route_plant(socket, &m, 1);
      else if (is_plant_worker && command == 4) route_plant(socket, &m, 0);
      else if (is_plant_worker && command == 1) take_worker(&m, 1);
      else if (is(&m.part[1], "MDPW02") && command == 1) take_worker(&m, 0);
      else route_rfc18(socket, &m, service);
    }
    forget(&m);
  }
}

static void worker(void *context, char **words) {
  void *socket = zmq_socket(context, ZMQ_DEALER);
  int is_plant = !strcmp(words[1], "plant");
  const char *header = is_plant ? "PLNW01" : "MDPW02";
  zmq_connect(socket, words[0]);
  put(socket, header, 6, 1);
  put(socket, "\1", 1, 1);
  put(socket, words[2], strlen(words[2]), is_plant);
  unsigned char concurrency[4] = {0, 0, 0, CONCURRENCY};
  if (is_plant) put(socket, concurrency, 4, 0);
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

/* The load generator: all clients in one loop of one thread. */
static int speaks_plant;
static const char *service_name;
static void *sockets[CLIENTS_MAX];

static void ask(load_t *load, int client, int slot, double since_us) {
  const unsigned char *body = load_ask(load, client, slot, since_us);
  put(sockets[client], speaks_plant ? "PLNC01" : "MDPC02", 6, 1);
  put(sockets[client], "\1", 1, 1);
  put(sockets[client], service_name, strlen(service_name), 1);
  if (speaks_plant) {
    unsigned char head[PLANT_HEAD] = {0};
    number(head, (uint64_t)load->slots[client * load->window + slot].generation << 16 | slot);
    head[8] = 0, head[9] = 0, head[10] = 0x27, head[11] = 0x10; /* 10,000 ms left */
    put(sockets[client], head, sizeof head, 1);
  }
  put(sockets[client], body, load->size, 0);
}

/* @returns the slot that is free again, or -1. */
static int hear(load_t *load, int client, message_t *m) {
  zmq_msg_t *last = &m->part[m->count - 1];
  int parts = speaks_plant ? 5 : 4;
  const char *header = speaks_plant ? "PLNC01" : "MDPC02";
  if (m->count != parts || !is(&m->part[0], header)) return load->wrong++, -1;
  unsigned char *head = zmq_msg_data(&m->part[3]);
  if (speaks_plant && zmq_msg_size(&m->part[3]) != PLANT_HEAD) return load->wrong++, -1;
  uint64_t id = speaks_plant ? number_of(head) : 0;
  if (speaks_plant && byte_of(&m->part[1]) == 6) {
    int slot = id & 65535;
    if (slot >= load->window) return load->wrong++, -1;
    if (load->refused == 0) {
      fprintf(stderr, "refused: %.*s\n", (int)zmq_msg_size(last), (char *)zmq_msg_data(last));
    }
    load_refused(load, client, slot);
    return slot;
  }
  if (byte_of(&m->part[1]) != 3) return load->wrong++, -1;
  int slot = load_answer(load, client, zmq_msg_data(last), zmq_msg_size(last), now_us());
  if (slot < 0 || !speaks_plant) return slot;
  uint64_t generation = load->slots[client * load->window + slot].generation;
  if (id != (generation << 16 | (uint64_t)slot)) load->wrong++;
  return slot;
}

/* Reads all there is, asking anew where the rate is open. @returns whether anything happened. */
static int turn(load_t *load) {
  int busy = 0;
  message_t m;
  for (int client = 0; client < load->clients; client++) {
    for (int read = 0; read < load->window && receive(sockets[client], &m, ZMQ_DONTWAIT); read++) {
      int slot = hear(load, client, &m);
      forget(&m);
      busy = 1;
      if (slot < 0 || load->rate > 0) continue;
      double at_us = now_us();
      if (at_us < load->until_us) ask(load, client, slot, at_us);
    }
  }
  int client, slot;
  double since_us;
  while (load->rate > 0 && load_due(load, now_us(), &client, &slot, &since_us)) {
    ask(load, client, slot, since_us);
    busy = 1;
  }
  return busy;
}

static void generate(void *context, const char *endpoint, load_t load) {
  struct pollfd waiting[CLIENTS_MAX];
  int mark = OPEN_MAX;
  if (load.clients > CLIENTS_MAX) exit(2);
  for (int client = 0; client < load.clients; client++) {
    void *socket = zmq_socket(context, ZMQ_DEALER);
    size_t size = sizeof waiting[client].fd;
    zmq_setsockopt(socket, ZMQ_SNDHWM, &mark, sizeof mark);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &mark, sizeof mark);
    zmq_connect(socket, endpoint);
    zmq_getsockopt(socket, ZMQ_FD, &waiting[client].fd, &size);
    waiting[client].events = POLLIN;
    sockets[client] = socket;
  }
  load_begin(&load);
  for (int client = 0; load.rate == 0 && client < load.clients; client++) {
    for (int slot = 0; slot < load.window; slot++) ask(&load, client, slot, now_us());
  }
  for (double at_us = now_us(); !load_is_over(&load, at_us); at_us = now_us()) {
    if (turn(&load)) continue;
    double wait_us = 20000;
    if (load.rate > 0 && load.due_us < load.until_us && load.due_us - at_us < wait_us) {
      wait_us = load.due_us > at_us ? load.due_us - at_us : 0;
    }
    struct timespec time = {0, (long)(wait_us * 1e3)};
    ppoll(waiting, load.clients, &time, NULL);
  }
  load_print(&load);
}

int main(int count, char **words) {
  if (count < 4) return 2;
  void *context = zmq_ctx_new();
  zmq_ctx_set(context, ZMQ_BLOCKY, 0);
  if (!strcmp(words[1], "broker")) broker(context, words[2], words[3]);
  else if (!strcmp(words[1], "worker") && count == 5) worker(context, words + 2);
  else if (!strcmp(words[1], "load") && count == 10) {
    speaks_plant = !strcmp(words[3], "plant");
    service_name = words[4];
    generate(context, words[2], load_of(words + 5));
  } else return 2;
  return 0;
}
