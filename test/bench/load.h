/* What the load generators in C share: slots of requests under way, bodies that tell one from
 * another, waits, and the line of JSON at the end. It must not know any protocol. */
#ifndef LOAD_H
#define LOAD_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

enum { HEAD_BYTES = 16, WAITS_MAX = 1000000, LINGER_MS = 2000 };

typedef struct {
  double sent_us; /* when it was sent, or was meant to be */
  uint32_t generation;
  int is_open;
} slot_t;

/* One run: `clients` connections with `window` requests in flight each, for `ms` after a warm-up;
 * with a `rate`, so many requests per second in all, whatever the answers do. */
typedef struct {
  int clients, window, size, ms;
  double rate;
  double start_us, until_us; /* what is answered between counts */
  slot_t *slots;
  unsigned char *body;    /* the next request's; its tail never changes */
  uint32_t *waits;        /* answers by microseconds */
  long count, total, open;
  long wrong, refused, lost, skipped;
  double due_us; /* of the next request, with a rate */
  long turn;
} load_t;

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static load_t load_of(char **words) {
  load_t load = {.clients = atoi(words[0]),
                 .window = atoi(words[1]),
                 .size = atoi(words[2]),
                 .ms = atoi(words[3]),
                 .rate = atof(words[4])};
  if (load.clients < 1 || load.window < 1 || load.size < HEAD_BYTES || load.ms < 1) exit(2);
  load.slots = calloc((size_t)load.clients * load.window, sizeof(slot_t));
  load.waits = calloc(WAITS_MAX, sizeof(uint32_t));
  load.body = malloc(load.size);
  for (int at = 0; at < load.size; at++) load.body[at] = (unsigned char)(at * 7 + 1);
  prctl(PR_SET_TIMERSLACK, 1000);
  return load;
}

static void load_begin(load_t *load) {
  load->start_us = now_us() + load->ms * 250.0;
  load->until_us = load->start_us + load->ms * 1e3;
  load->due_us = now_us();
}

/* The body of the next request in a slot; marks the slot as waiting since `since_us`. */
static const unsigned char *load_ask(load_t *load, int client, int slot, double since_us) {
  slot_t *one = &load->slots[client * load->window + slot];
  uint32_t words[4] = {(uint32_t)client, (uint32_t)slot, ++one->generation, 0x706c6e74};
  one->is_open = 1;
  one->sent_us = since_us;
  load->open++;
  memcpy(load->body, words, sizeof words);
  return load->body;
}

/* Takes a reply. @returns its slot, or -1 when it is none that is waited for. */
static int load_answer(load_t *load, int client, const void *bytes, size_t size, double at_us) {
  uint32_t words[4];
  if (size != (size_t)load->size) return load->wrong++, -1;
  memcpy(words, bytes, sizeof words);
  if (words[0] != (uint32_t)client || words[1] >= (uint32_t)load->window ||
      memcmp((const char *)bytes + HEAD_BYTES, load->body + HEAD_BYTES, size - HEAD_BYTES)) {
    return load->wrong++, -1;
  }
  slot_t *one = &load->slots[client * load->window + words[1]];
  if (!one->is_open || one->generation != words[2]) return load->wrong++, -1;
  one->is_open = 0;
  load->open--;
  load->total++;
  if (at_us >= load->start_us && at_us < load->until_us) {
    double wait = at_us - one->sent_us;
    load->waits[wait < 0 ? 0 : wait < WAITS_MAX ? (int)wait : WAITS_MAX - 1]++;
    load->count++;
  }
  return (int)words[1];
}

/* A slot's request was refused. */
static inline void load_refused(load_t *load, int client, int slot) {
  slot_t *one = &load->slots[client * load->window + slot];
  if (!one->is_open) return;
  one->is_open = 0;
  load->open--;
  load->refused++;
}

/* With a rate: the client and slot of the next request that is due, or 0. */
static int load_due(load_t *load, double at_us, int *client, int *slot, double *since_us) {
  while (load->due_us <= at_us && load->due_us < load->until_us) {
    *since_us = load->due_us;
    load->due_us += 1e6 / load->rate;
    *client = (int)(load->turn++ % load->clients);
    for (int at = 0; at < load->window; at++) {
      if (load->slots[*client * load->window + at].is_open) continue;
      *slot = at;
      return 1;
    }
    load->skipped++;
  }
  return 0;
}

/* Whether the run is over: time is up, and all is answered or too late. */
static int load_is_over(load_t *load, double at_us) {
  if (at_us < load->until_us) return 0;
  return load->open == 0 || at_us > load->until_us + LINGER_MS * 1e3;
}

static double load_quantile(const load_t *load, double share) {
  long left = (long)(share * load->count);
  for (int at = 0; at < WAITS_MAX; at++) {
    left -= load->waits[at];
    if (left < 0) return at + 0.5;
  }
  return 0;
}

static void load_print(load_t *load) {
  load->lost = load->open;
  printf("{\"count\":%ld,\"total\":%ld,\"ms\":%d,\"p50us\":%.1f,\"p99us\":%.1f,\"wrong\":%ld,"
         "\"refused\":%ld,\"lost\":%ld,\"skipped\":%ld}\n",
         load->count, load->total, load->ms, load_quantile(load, 0.5), load_quantile(load, 0.99),
         load->wrong, load->refused, load->lost, load->skipped);
  fflush(stdout);
}

#endif
