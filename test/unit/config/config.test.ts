// The configuration: layers of sources, defaults, and every error at once with its place.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  describeFlaw,
  loadConfig,
  parseConfig,
  settingNames,
  variableOf,
} from "../../../src/config/config.ts";
import { PlantError } from "../../../src/util/errors.ts";
import { temporaryFolder } from "../../fakes/store.ts";

function flawsOf(run: () => unknown): string[] {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof PlantError);
    assert.equal(error.code, "CONFIG_INVALID");
    return (error.detail.flaws as Parameters<typeof describeFlaw>[0][]).map(describeFlaw);
  }
  return assert.fail("no error was raised");
}

test("an empty configuration is all defaults", () => {
  const config = parseConfig("", {});
  assert.equal(config.broker.heartbeatMs, 1000);
  assert.equal(config.store.flushMaxMs, 50);
  assert.deepEqual(config.lines, {});
});

test("a file nested too deeply is refused like any other error", () => {
  for (const opening of ["[", "? ", "- ", '{"a":']) {
    assert.equal(flawsOf(() => parseConfig(opening.repeat(20_000), {})).length > 0, true, opening);
  }
});

test("what is missing, and what is no group, is told as such", () => {
  const text = "sync: 5\nlines:\n  l: { kind: modbus-rtu, devices: { m: { profile: 3 } } }\n";
  assert.deepEqual(flawsOf(() => parseConfig(text, { file: "p.yaml" })).sort(), [
    "p.yaml:1:1 sync: must be a group of keys, not 5",
    "p.yaml:3:3 lines.l.path: it is missing",
    "p.yaml:3:42 lines.l.devices.m.profile: must be a string, not 3",
  ]);
});

test("flags stand above the environment, the environment above the file", () => {
  const text = "http:\n  port: 1\n  connectionsMax: 5\nstore:\n  flushMaxMs: 7\n";
  const config = parseConfig(text, {
    env: {
      PLANTD_HTTP_PORT: "2",
      PLANTD_STORE_FLUSH_MAX_MS: "8",
      PLANTD_DATA_DIR: "/x",
      HOME: "/",
    },
    flags: { "http.port": "3" },
  });
  assert.equal(config.http.port, 3);
  assert.equal(config.http.connectionsMax, 5);
  assert.equal(config.store.flushMaxMs, 8);
});

test("all wrong keys are named at once, with line and column", () => {
  const text = [
    "http:",
    "  prot: 8480",
    "  port: 70000",
    "lines:",
    "  rs485-1:",
    "    kind: modbus-rtu",
    "    path: /dev/ttyUSB0",
    "    parity: weird",
    "    devices:",
    "      meter 1: { profile: x }",
  ].join("\n");
  const flaws = flawsOf(() => parseConfig(text, { file: "plantd.yaml" }));
  const places = flaws.map((flaw) => flaw.split(" ")[0]);
  const inOrder = ["plantd.yaml:2:3", "plantd.yaml:3:3", "plantd.yaml:8:5", "plantd.yaml:10:7"];
  assert.deepEqual(places, inOrder);
  assert.equal(
    flaws[0],
    "plantd.yaml:2:3 http.prot: no key has this name here; did you mean port?",
  );
});

test("a key that is like no other is told with those there are", () => {
  const text = "broker: { services: { a.B: { colour: red } } }\nweather: {}";
  const [inner, outer] = flawsOf(() => parseConfig(text, {}));
  assert.match(
    inner ?? "",
    /colour: no key .*; there are retry, attemptsMax, busyTimeoutMs, queue/,
  );
  assert.match(outer ?? "", /weather: no key .*; there are .*broker, /);
});

test("a misspelt variable or flag is told with the setting that was meant", () => {
  const flaws = flawsOf(() =>
    parseConfig("", { env: { PLANTD_HTTP_PROT: "1" }, flags: { "acess.mode": "open" } }),
  );
  assert.match(flaws.join(), /PLANTD_HTTP_PROT: .* did you mean PLANTD_HTTP_PORT\?/);
  assert.match(flaws.join(), /acess\.mode: .* did you mean access\.mode\?/);
});

test("a wrong value from the environment or a flag names its source", () => {
  const flaws = flawsOf(() =>
    parseConfig("", {
      env: { PLANTD_HTTP_PORT: "x", PLANTD_NO_SUCH: "1" },
      flags: { "store.flushMaxMs": "-1", "nope.nope": "1" },
    }),
  );
  assert.deepEqual(flaws.map((flaw) => flaw.split(":")[0]).sort(), [
    "environment PLANTD_NO_SUCH",
    "environment http.port",
    "flag nope.nope",
    "flag store.flushMaxMs",
  ]);
});

test("a liveness that a single late beat would end is refused at its place", () => {
  const flaws = flawsOf(() => parseConfig("broker:\n  heartbeatMs: 3000\n", { file: "f" }));
  assert.equal(flaws.length, 1);
  assert.match(flaws[0] ?? "", /broker\.livenessMs: must be at least twice broker\.heartbeatMs/);
  const text = "broker:\n  heartbeatMs: 3000\n  livenessMs: 6000\n";
  assert.equal(parseConfig(text, {}).broker.livenessMs, 6000);
});

test("text that is not YAML is refused with its place", () => {
  const flaws = flawsOf(() => parseConfig("a: [1,\nb: 2", { file: "f" }));
  assert.match(flaws[0] ?? "", /^f:\d+:\d+: /);
});

test("every setting has a note that says why, a default, and a variable of its own", () => {
  const names = settingNames();
  assert.ok(names.length > 40);
  assert.equal(new Set(names.map(variableOf)).size, names.length);
});

test("a file that nobody wrote as a configuration is refused before it is parsed", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "plantd.yaml");
  const latin = Buffer.from("gateway: {site: S\u00fcd}\n", "latin1");
  for (const bytes of [Buffer.alloc(1_048_577, "#"), latin]) {
    writeFileSync(path, bytes);
    assert.throws(() => loadConfig({ file: path }), { code: "CONFIG_UNREADABLE" });
  }
  assert.throws(() => loadConfig({ file: "/dev/zero" }), { code: "CONFIG_UNREADABLE" });
  assert.throws(() => loadConfig({ file: folder.path }), { code: "CONFIG_UNREADABLE" });
  writeFileSync(path, Buffer.alloc(1_048_576, "#"));
  assert.equal(loadConfig({ file: path }).http.host, "127.0.0.1");
});

test("principals and their patterns are checked, each at its place", () => {
  const text = [
    "access:",
    "  principals:",
    "    pump-controller: { serve: [com.example.Pump], call: [org.plantd.State.get, a.*.b, '*'] }",
    "    Pump: {}",
    "    valve:",
    "      serve: [a..b, 'a b', 'a*', '', .a, com.example.*, mmi.x]",
    "      call:",
    "        - Pump",
    "        - default",
    "        - 'a.b*'",
    "        - 'a.b'",
    "      read: [a.b]",
    "    driver: { call: [default, com.example.Pump.state], serve: all }",
  ].join("\n");
  const call = "access.principals.valve.call";
  const serve = "access.principals.valve.serve";
  const service =
    "must be a service such as com.example.Pump, or com.example.*; mmi.* is the broker's own";
  assert.deepEqual(flawsOf(() => parseConfig(text, { file: "p.yaml" })).sort(), [
    `p.yaml:10:11 ${call}.2: must be a call such as com.example.Pump.start, or com.example.*`,
    "p.yaml:12:7 access.principals.valve.read: no key has this name here; there are serve, call",
    "p.yaml:13:56 access.principals.driver.serve: must be a list of at most 256 patterns",
    "p.yaml:4:5 access.principals.Pump: must be a name of a-z, 0-9 and -, from a letter, at most 32 long",
    ...[15, 21, 28, 34, 38].map((column, at) => `p.yaml:6:${column} ${serve}.${at}: ${service}`),
    `p.yaml:6:57 ${serve}.6: ${service}`,
    `p.yaml:8:11 ${call}.0: must be a call such as com.example.Pump.start, or com.example.*`,
    `p.yaml:9:11 ${call}.1: no principal valve is built in, so it has no default`,
  ]);
});

test("the word default is for principals that are built in", () => {
  const text =
    "access:\n  principals:\n    pump: { call: [a.b, default] }\n    http: { call: [default] }\n";
  assert.deepEqual(
    flawsOf(() => parseConfig(text, { file: "p.yaml" })),
    [
      "p.yaml:3:25 access.principals.pump.call.1: no principal pump is built in, so it has no default",
    ],
  );
});

test("principals are limited to 64", () => {
  const of = (count: number) => {
    const names = Array.from({ length: count }, (_, at) => `    p${at}: {}`);
    return parseConfig(["access:", "  principals:", ...names].join("\n"), {});
  };
  assert.equal(Object.keys(of(64).access.principals).length, 64);
  assert.equal(flawsOf(() => of(65)).length, 1);
});

test("what a service may have of its own is checked, each at its place", () => {
  const text = [
    "broker:",
    "  services:",
    "    '*': { retry: always }",
    "    a..b: {}",
    "    com.example.*: { attemptsMax: 0, busyTimeoutMs: 99, queueMax: 1.5 }",
    "    com.example.Pump: { retries: 3, retry: if-lost, queueTtlMs: 100 }",
  ].join("\n");
  const flaws = flawsOf(() => parseConfig(text, { file: "p.yaml" }));
  const places = flaws.map((flaw) => flaw.split(" ").slice(0, 2).join(" ")).sort();
  assert.deepEqual(places, [
    "p.yaml:3:12 broker.services.*.retry:",
    "p.yaml:4:5 broker.services.a..b:",
    "p.yaml:5:22 broker.services.com.example.*.attemptsMax:",
    "p.yaml:5:38 broker.services.com.example.*.busyTimeoutMs:",
    "p.yaml:5:57 broker.services.com.example.*.queueMax:",
    "p.yaml:6:25 broker.services.com.example.Pump.retries:",
  ]);
});

test("a service has nothing of its own unless it is said", () => {
  const { services } = parseConfig("broker: { services: { a.b: { queueMax: 7 } } }", {}).broker;
  assert.deepEqual(services, { "a.b": { queueMax: 7 } });
  assert.deepEqual(parseConfig("", {}).broker.services, {});
});

const key = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6";

test("the network is listened to for principals there are, with keys or in open mode", () => {
  const text = [
    "broker:",
    "  network:",
    "    - endpoint: tcp://0.0.0.0:7200",
    "      principal: technician",
    `      keys: ["${key}"]`,
  ].join("\n");
  const { network } = parseConfig(text, {}).broker;
  assert.deepEqual(network, [
    { endpoint: "tcp://0.0.0.0:7200", principal: "technician", keys: [key] },
  ]);
  const open =
    "access: { mode: open }\nbroker: { network: [{ endpoint: 'tcp://[::1]:0', principal: http }] }";
  assert.deepEqual(parseConfig(open, {}).broker.network[0]?.keys, []);
});

test("two network listeners at one address are refused; any free ports are not", () => {
  const text = (port: number) => {
    const one = (who: string) =>
      `{ endpoint: "tcp://0.0.0.0:${port}", principal: ${who}, keys: ["${key}"] }`;
    return `broker:\n  network:\n    - ${one("technician")}\n    - ${one("admin")}\n`;
  };
  const flaws = flawsOf(() => parseConfig(text(7200), {}));
  assert.equal(flaws.length, 1);
  assert.match(flaws[0] ?? "", /:4:\d+ broker\.network\.1\.endpoint: .*network\.0 .*another port/);
  assert.equal(parseConfig(text(0), {}).broker.network.length, 2);
});

test("a network without keys is refused while the access is closed, whatever the address", () => {
  const text = (extra: string) =>
    `broker:\n  network:\n    - { endpoint: "tcp://127.0.0.1:7200", principal: admin${extra} }\n`;
  for (const extra of ["", ", keys: []"]) {
    const flaws = flawsOf(() => parseConfig(text(extra), { file: "p.yaml" }));
    assert.equal(flaws.length, 1);
    assert.match(
      flaws[0] ?? "",
      /^p\.yaml:3:\d+ broker\.network\.0: without keys .*plant broker key/,
    );
  }
});

const wrongNetworks = {
  "nobody's principal": `{ endpoint: "tcp://0.0.0.0:1", principal: nobody, keys: ["${key}"] }`,
  "no principal": `{ endpoint: "tcp://0.0.0.0:1", keys: ["${key}"] }`,
  "a local socket": `{ endpoint: "ipc:///x", principal: admin, keys: ["${key}"] }`,
  "a port beyond the last": `{ endpoint: "tcp://0.0.0.0:65536", principal: admin, keys: ["${key}"] }`,
  "no port": `{ endpoint: "tcp://0.0.0.0", principal: admin, keys: ["${key}"] }`,
  "a short key": `{ endpoint: "tcp://0.0.0.0:1", principal: admin, keys: ["abc"] }`,
  "a key that is no list": `{ endpoint: "tcp://0.0.0.0:1", principal: admin, keys: "${key}" }`,
  "a word nobody knows": `{ endpoint: "tcp://0.0.0.0:1", principal: admin, keys: ["${key}"], key: x }`,
};
for (const [name, entry] of Object.entries(wrongNetworks)) {
  test(`a network listener is refused: ${name}`, () => {
    const flaws = flawsOf(() => parseConfig(`broker:\n  network:\n    - ${entry}\n`, {}));
    assert.equal(flaws.length, 1, flaws.join("\n"));
    assert.match(flaws[0] ?? "", /broker\.network\.0/);
  });
}

test("the older broker.endpoint is still understood", () => {
  const { endpoint } = parseConfig("broker: { endpoint: 'tcp://127.0.0.1:9797' }", {}).broker;
  assert.equal(endpoint, "tcp://127.0.0.1:9797");
});
