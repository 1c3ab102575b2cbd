/* Peers of the bus bench in C on libmodbus: a slave with 200 registers and a master that polls, over
 * TCP and over a serial line. It must not know our code.
 * Usage: modbus serve-tcp PORT | serve-rtu PATH | poll-tcp PORT MS COUNT | poll-rtu PATH MS COUNT */
#include <errno.h>
#include <modbus.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { UNIT = 1, BAUD = 115200, REGISTERS = 200 };

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void ready(void) {
  printf("ready\n");
  fflush(stdout);
}

static void answer(modbus_t *context, modbus_mapping_t *registers) {
  uint8_t request[MODBUS_TCP_MAX_ADU_LENGTH];
  for (;;) {
    int length = modbus_receive(context, request);
    if (length > 0) modbus_reply(context, request, length, registers);
    else if (length < 0 && errno != EMBBADCRC && errno != ETIMEDOUT) return;
  }
}

static void poll_registers(modbus_t *context, double ms, int count) {
  uint16_t values[REGISTERS];
  long done = 0;
  double from = now_ms();
  while (now_ms() - from < ms) {
    if (modbus_read_registers(context, 0, count, values) == count) done++;
  }
  printf("{\"count\":%ld,\"ms\":%.1f}\n", done, now_ms() - from);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  const char *role = argv[1];
  int is_tcp = strstr(role, "tcp") != NULL;
  modbus_t *context = is_tcp ? modbus_new_tcp("127.0.0.1", atoi(argv[2]))
                             : modbus_new_rtu(argv[2], BAUD, 'N', 8, 1);
  if (context == NULL) return 1;
  modbus_set_slave(context, UNIT);
  if (strncmp(role, "poll", 4) == 0) {
    if (argc < 5 || modbus_connect(context) != 0) return 1;
    poll_registers(context, atof(argv[3]), atoi(argv[4]));
    return 0;
  }
  modbus_mapping_t *registers = modbus_mapping_new(0, 0, REGISTERS, 0);
  for (int at = 0; at < REGISTERS; at++) registers->tab_registers[at] = at * 7;
  if (!is_tcp) {
    if (modbus_connect(context) != 0) return 1;
    ready();
    answer(context, registers);
    return 1;
  }
  int listening = modbus_tcp_listen(context, 4);
  if (listening < 0) return 1;
  ready();
  for (;;) {
    if (modbus_tcp_accept(context, &listening) < 0) return 1;
    answer(context, registers);
    close(modbus_get_socket(context));
  }
}
