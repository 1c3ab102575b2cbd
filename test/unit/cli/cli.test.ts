// `plant` in memory: what each command line prints, calls and exits with, and each way it fails.
import assert from "node:assert/strict";
import { test } from "node:test";
import { cliReference, runCli } from "../../../src/cli/cli.ts";
import type { Client } from "../../../src/client/client.ts";
import { catalogue } from "../../../src/util/catalogue.ts";
import { PlantError } from "../../../src/util/errors.ts";
import type { Operation } from "../../../src/worker/worker.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { type FakeParts, fakeParts, now, pointOf } from "../../fakes/plant-parts.ts";
import { fakeTerminal, type TerminalOptions } from "../../fakes/terminal.ts";

interface Result {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

async function plant(
  words: readonly string[],
  parts: FakeParts = fakeParts(),
  options: Partial<TerminalOptions> = {},
): Promise<Result> {
  const client = parts.bus.client();
  const terminal = fakeTerminal({ clock: fakeClock(now), client, ...options });
  const exit = await runCli(words, terminal.io);
  return { exit, ...terminal.printed };
}

test("plant alone is the status screen, with exit 0 when all is well", async () => {
  const { exit, out, err } = await plant([]);
  assert.equal(exit, 0);
  assert.equal(err, "");
  const lines = out.split("\n");
  assert.match(
    lines[0] ?? "",
    /^● gateway {2}OK {2}all 2 devices answer · link up · 0 waiting +15:32:07 UTC$/,
  );
  assert.match(out, /BUS +SETTINGS +STATE +DEVICES +OK\/MIN +TIMEOUT +CRC +LOAD/);
  assert.match(out, /rs485-1 +9600 8E1 +open +2\/2 +238 +12 +0 +41 % +38 \/ 122 ms +████████*▃▃▃/);
  assert.match(out, /LINK {4}connected 3 d 4 h {2}mqtts:\/\/hub\.example:8883 {2}last ack 1 s ago/);
  assert.match(out, /OUTBOX {2}0 waiting/);
  assert.match(out, /BOX {5}plantd-edge 9\.9\.9/);
});

test("a fault shows why and what next, and exits 1", async () => {
  const parts = fakeParts();
  parts.driverStatus.devices[1]!.state = "silent";
  const { exit, out } = await plant(["status"], parts);
  assert.equal(exit, 1);
  assert.match(out, /^▲ gateway {2}DEGRADED/);
  assert.match(out, /why {3}meter-2 \(rs485-1 unit 17\) no answer.* DEVICE_SILENT/);
  assert.match(out, /next {2}plant explain DEVICE_SILENT/);
});

for (const width of [40, 60, 79, 80]) {
  test(`on a screen of ${width} columns no table of the status wraps`, async () => {
    const options = { isTerminal: true, columns: width };
    const { out } = await plant(["status", "-v", "--no-color"], fakeParts(), options);
    const tables = out.split("\n").filter((line) => /BUS|DEVICE|rs485-1|meter-\d/.test(line));
    assert.equal(tables.length, 5, out);
    for (const line of tables) assert.ok(line.length <= width, line);
    assert.match(out, /BUS .*STATE .*DEVICES .*TIMEOUT/);
    assert.match(out, /DEVICE .*STATE .*AGE/);
  });
}

test("a pipe gets every column", async () => {
  const { out } = await plant([], fakeParts(), { columns: 40 });
  assert.match(out, /SETTINGS .*LAST HOUR/);
});

test("name and site come from the configuration, and its flaws are a reason", async () => {
  const files = { "/data/plantd.yaml": "gateway:\n  name: gw-7\n  site: Weir\n" };
  assert.match((await plant([], fakeParts(), { files })).out, /^● gw-7 .*Weir/);
  const wrong = { "/data/plantd.yaml": "gatway: {}\n" };
  const { exit, out } = await plant([], fakeParts(), { files: wrong });
  assert.equal(exit, 1);
  assert.match(out, /CONFIG_INVALID/);
});

test("the broker away: the screen still comes, with exit 7 and the next step", async () => {
  const terminal = fakeTerminal({ clock: fakeClock(now) });
  assert.equal(await runCli([], terminal.io), 7);
  assert.match(terminal.printed.out, /■ gateway {2}FAULT {2}broker down/);
  assert.match(terminal.printed.out, /next {2}plantd run/);
});

/** A client whose broker never answers. */
function deaf(code: "TIME_RAN_OUT" | "BROKER_UNREACHABLE"): Client {
  const fail = () => Promise.reject(new PlantError(code, {}));
  return { ...fakeParts().bus.client(), request: fail, call: fail };
}

for (const code of ["TIME_RAN_OUT", "BROKER_UNREACHABLE"] as const) {
  test(`a broker that says nothing (${code}) is daemon gone`, async () => {
    const { exit, err, out } = await plant(["values"], fakeParts(), { client: deaf(code) });
    assert.equal(exit, 7);
    assert.equal(out, "");
    assert.match(err, /BROKER_UNREACHABLE/);
    assert.match(err, /next {4}plantd run/);
  });
}

const knocks = {
  missing: { exit: 7, err: /BROKER_UNREACHABLE[\s\S]*next {4}plantd run/ },
  refused: { exit: 7, err: /BROKER_UNREACHABLE[\s\S]*next {4}plantd run/ },
  open: { exit: 7, err: /says nothing within 1500 ms {2}BROKER_SILENT/ },
  forbidden: { exit: 8, err: /SOCKET_FORBIDDEN[\s\S]*usermod -aG plantd-technician/ },
} as const;
for (const [knock, { exit, err }] of Object.entries(knocks)) {
  test(`a socket that is ${knock} is told as such`, async () => {
    const it = { client: deaf("BROKER_UNREACHABLE"), knock: knock as keyof typeof knocks };
    const found = await plant(["values"], fakeParts(), it);
    assert.equal(found.exit, exit);
    assert.match(found.err, err);
  });
}

test("who may not ask is not told that the broker is down", async () => {
  const it = { client: deaf("BROKER_UNREACHABLE"), knock: "forbidden" } as const;
  const { exit, out } = await plant(["status"], fakeParts(), it);
  assert.equal(exit, 8);
  assert.match(out, /not known: this account may not ask[\s\S]*next {2}sudo usermod/);
});

test("a log line shows its facts, long ones cut", async () => {
  const parts = fakeParts();
  const line = {
    level: "warn",
    service: "plantd",
    context: "broker",
    message: "A peer was refused",
  };
  const fields = { principal: "tank", many: ["a", "b"], long: "x".repeat(200), text: 'say "hi"' };
  parts.bus.serve("org.plantd.Logger", { tail: () => ({ lines: [{ ...line, fields }] }) });
  const { out } = await plant(["log"], parts);
  assert.match(
    out,
    /plantd\/broker {2}A peer was refused {2}principal=tank many=a,b long=x{100}… /,
  );
  assert.match(out, /text="say \\"hi\\""/);
});

test("lines of one moment stand in the order of their times, whoever sent them first", async () => {
  const parts = fakeParts();
  const at = (second: string, message: string) => {
    return { timestamp: `2025-11-21T15:32:${second}Z`, level: "info", service: "s", message };
  };
  const set = at("59.000", "before the clock was set back");
  const tail = () => ({
    lines: [set, at("01.000", "a"), at("03.000", "d"), at("02.000", "b"), at("02.500", "c")],
  });
  parts.bus.serve("org.plantd.Logger", { tail });
  const { out } = await plant(["log"], parts);
  assert.match(out, /set back\n.* a\n.* b\n.* c\n.* d\n$/);
});

test("a log without such lines says so", async () => {
  const parts = fakeParts();
  parts.bus.serve("org.plantd.Logger", { tail: () => ({ lines: [] }) });
  const said = async (...words: string[]) => (await plant(["log", ...words], parts)).err;
  assert.equal(await said("--errors"), "no errors\n");
  assert.equal(await said("--grep", "x"), "no such lines\n");
  assert.equal(await said("--part", "stroe"), "no such lines; plant log level names the parts\n");
});

test("a code in a log line is explained on demand", async () => {
  const parts = fakeParts();
  const lines = [{ level: "warn", service: "a", message: "m", code: "DEVICE_SILENT" }];
  parts.bus.serve("org.plantd.Logger", { tail: () => ({ lines }) });
  const { out } = await plant(["log", "--explain"], parts);
  assert.match(out, /m {2}DEVICE_SILENT\n {4}likely {2}it has no power · .*\n {4}next {4}compare/);
  assert.doesNotMatch((await plant(["log"], parts)).out, /likely/);
});

test("a look back is asked page by page and printed in order", async () => {
  const parts = fakeParts();
  const pageOf = (from: number) =>
    Array.from({ length: 2000 }, (_, at) => ({ level: "info", message: `m${from + at}` }));
  const tail: Operation = ({ args }) =>
    (args as { before?: string }).before === undefined
      ? { lines: pageOf(2000), next: "log:1:1", run: "r", position: 9 }
      : { lines: pageOf(0) };
  parts.bus.serve("org.plantd.Logger", { tail });
  const { out } = await plant(["log", "--since", "1d", "--json"], parts);
  const all = out.trim().split("\n");
  assert.deepEqual(
    all.map((text) => JSON.parse(text).message),
    Array.from({ length: 4000 }, (_, at) => `m${at}`),
  );
  assert.deepEqual(
    parts.bus.calls.map(({ args }) => (args as { before?: string }).before),
    [undefined, "log:1:1"],
  );
});

test("following goes on from the page before, over streams and a logger that is away", async () => {
  const parts = fakeParts();
  const clock = fakeClock(now);
  const asked: unknown[] = [];
  let interrupt = () => {};
  const follow: Operation = async ({ args, partial }) => {
    asked.push(args);
    const at = asked.length;
    if (at === 2) throw new PlantError("WORKER_LOST", { service: "org.plantd.Logger" });
    await partial({ lines: [{ message: `f${at}` }], run: "r", position: 10 + at, missed: 3 });
    if (at === 3) interrupt();
    return { run: "r", position: 20 + at };
  };
  const tail = () => ({ lines: [{ message: "t" }], run: "r", position: 9 });
  parts.bus.serve("org.plantd.Logger", { tail, follow });
  const terminal = fakeTerminal({ clock, client: parts.bus.client() });
  interrupt = terminal.interrupt;
  const running = runCli(["log", "--follow", "--grep", "x", "--since", "1h"], terminal.io);
  for (let round = 0; round < 5; round += 1) await clock.advance(1000);
  assert.equal(await running, 130);
  const { out, err } = terminal.printed;
  assert.match(out, /t\n[^t]*f1\n[^t]*f3\n/);
  assert.match(err, /3 lines passed too quickly[\s\S]*the logger is away \(WORKER_LOST\)/);
  assert.deepEqual(asked, [
    { grep: "x", after: 9, run: "r" },
    { grep: "x", after: 21, run: "r" },
    { grep: "x", after: 21, run: "r" },
  ]);
});

test("a broker of the network that does not answer is better asked where it runs", async () => {
  const words = ["values", "--endpoint", "tcp://far:1"];
  const { exit, err } = await plant(words, fakeParts(), { client: deaf("BROKER_UNREACHABLE") });
  assert.equal(exit, 7);
  assert.match(err, /next {4}plant --key FILE/);
});

interface Row {
  readonly words: readonly string[];
  readonly exit?: number;
  readonly out?: RegExp;
  readonly err?: RegExp;
  /** Operation and arguments of the last call. */
  readonly call?: readonly [string, unknown];
  readonly options?: Partial<TerminalOptions>;
  readonly given?: (parts: FakeParts) => void;
}

const written = { device: "meter-1", point: "limit", value: 5 };
const secretFile = { files: { "/key": "swordfish\nmore\n" } };

const rows: Readonly<Record<string, Row>> = {
  "values of all": { words: ["values"], out: /meter-1\/voltage +230\.2 {2}V +good +1 s\n/ },
  "values of a device": {
    words: ["values", "meter-2"],
    out: /meter-2\/voltage +– {2}V +bad: no-ans/,
  },
  "values of a point": { words: ["values", "meter-1/relay"], out: /^POINT.*\n.*relay +on +good/ },
  "values that are not good": { words: ["values", "--stale"], out: /^POINT.*\nmeter-2.*\n$/ },
  "an unknown device": { words: ["values", "metre"], exit: 3, err: /DEVICE_UNKNOWN/ },
  "an unknown point": { words: ["values", "meter-1/x"], exit: 3, err: /POINT_UNKNOWN/ },
  "set a number": {
    words: ["set", "meter-1/limit", "5"],
    call: ["write", written],
    out: /set to 5, was 1, reads 2/,
  },
  "set a negative number": {
    words: ["set", "meter-1/limit", "-5"],
    call: ["write", { ...written, value: -5 }],
  },
  "set with a guard": {
    words: ["set", "meter-1/limit", "5", "--expect", "4", "--verify"],
    call: ["write", { ...written, expect: 4, verify: true }],
  },
  "set a word": {
    words: ["set", "meter-1/limit", "on"],
    call: ["write", { ...written, value: true }],
  },
  "set a large integer keeps every digit": {
    words: ["set", "meter-1/limit", "18446744073709551615"],
    call: ["write", { ...written, value: "18446744073709551615" }],
  },
  "set that failed": {
    words: ["set", "meter-1/limit", "5"],
    given: ({ driver }) => {
      driver.write = () => ({ result: "failed" });
    },
    exit: 5,
    err: /WRITE_FAILED[\s\S]*plant values meter-1\/limit/,
  },
  "set whose end is not known": {
    words: ["set", "meter-1/limit", "5"],
    given: ({ driver }) => {
      driver.write = () => ({ result: "unknown" });
    },
    exit: 4,
    err: /WRITE_UNKNOWN/,
  },
  "set that the driver explains": {
    words: ["set", "meter-1/limit", "5"],
    given: ({ driver }) => {
      driver.write = () => ({ result: "failed", code: "POINT_READ_ONLY" });
    },
    err: /POINT_READ_ONLY/,
    exit: 8,
  },
  "set whose guard does not hold": {
    words: ["set", "meter-1/limit", "5", "--expect", "4"],
    given: ({ driver }) => {
      driver.write = () => ({ result: "failed", code: "WRITE_GUARDED", before: 3 });
    },
    err: /Not written: limit is 3, not 4 as expected/,
    exit: 1,
  },
  "set that nobody answered is not known, whatever the code": {
    words: ["set", "meter-1/limit", "5"],
    given: ({ driver }) => {
      driver.write = () => ({ result: "unknown", code: "BUS_NO_ANSWER" });
    },
    err: /Whether the value was written to meter-1\/limit is not known/,
    exit: 4,
  },
  "set on no device": { words: ["set", "nobody/x", "5"], exit: 3, err: /DEVICE_UNKNOWN/ },
  "set without a point": { words: ["set", "meter-1", "5"], exit: 2, err: /DEVICE\/POINT/ },
  "set without a value": {
    words: ["set", "meter-1/x"],
    exit: 2,
    err: /missing required argument[\s\S]*plant set --help/,
  },
  "state get": {
    words: ["state", "get", "device/meter-1", "voltage"],
    out: /value +230\.2 V[\s\S]*time +2025-11-21 15:32:06[\s\S]*source +driver\.rs485-1/,
  },
  "state get as list prints it": {
    words: ["state", "get", "device/meter-1/voltage"],
    call: ["get", { scope: "device/meter-1", key: "voltage" }],
    out: /^device\/meter-1 voltage[\s\S]*230\.2 V/,
  },
  "state get of half a name": { words: ["state", "get", "x/"], exit: 2, err: /SCOPE\/KEY/ },
  "state list": { words: ["state", "list", "device/meter-1", "--prefix", "vol"], out: /voltage/ },
  "state delete wants consent": { words: ["state", "delete", "s", "k"], exit: 12, err: /--yes/ },
  "state delete": {
    words: ["state", "delete", "s", "k", "--yes"],
    given: ({ state }) => {
      state["delete-many"] = () => ({ deleted: 1 });
    },
    call: ["delete-many", { points: [{ scope: "s", key: "k" }], by: "plant" }],
  },
  "state delete of nothing": {
    words: ["state", "delete", "s/k", "--yes"],
    given: ({ state }) => {
      state["delete-many"] = () => ({ deleted: 0 });
    },
    exit: 3,
    err: /There is no k in s/,
  },
  "state get of a key that is misspelt": {
    words: ["state", "get", "device/meter-1", "voltgae"],
    exit: 3,
    err: /next {4}plant state get device\/meter-1 voltage\n/,
  },
  "state get of a scope that is misspelt": {
    words: ["state", "get", "device/metre-1", "voltage"],
    exit: 3,
    err: /next {4}plant state list device\/meter-1\n/,
  },
  "state get of a scope": {
    words: ["state", "get", "device/meter-1"],
    exit: 3,
    err: /next {4}plant state list device\/meter-1\n/,
  },
  "values that are all good": {
    words: ["values", "meter-1", "--stale"],
    out: /no values/,
    err: /all 3 values are good/,
  },
  "state create-scope": {
    words: ["state", "create-scope", "org.x"],
    call: ["create-scope", { service: "org.x", by: "plant" }],
  },
  "state delete-scope wants consent": { words: ["state", "delete-scope", "s"], exit: 12 },
  "state list-scopes": {
    words: ["state", "list-scopes"],
    out: /^device\/meter-1\ndevice\/meter-2\n$/,
  },
  outbox: {
    words: ["outbox"],
    out: /^0 waiting · link up\nSTREAM +WAITING[\s\S]*state +0 +– +5\u202f000/,
  },
  "outbox pause": { words: ["outbox", "pause"], call: ["pause", {}], out: /plant outbox resume/ },
  "outbox resume": { words: ["outbox", "resume"], call: ["resume", {}] },
  enroll: {
    words: ["enroll", "https://hub.example", "ABCD"],
    call: ["enroll", { url: "https://hub.example", code: "ABCD" }],
    out: /enrolled as gw-0417 at hub/,
  },
  "enroll with the code from standard input": {
    words: ["enroll", "https://hub.example", "-"],
    options: { stdin: "WXYZ\n" },
    call: ["enroll", { url: "https://hub.example", code: "WXYZ" }],
  },
  "enroll again wants consent, and says what is given up": {
    words: ["enroll", "https://h", "ABCD"],
    given: ({ sync }) => {
      sync.enroll = () => {
        throw new PlantError("NEEDS_CONSENT", { what: "Giving up the identity gw-0417" });
      };
    },
    exit: 12,
    err: /identity gw-0417 needs a confirmation[\s\S]*--yes/,
  },
  "enroll again with consent": {
    words: ["enroll", "https://h", "ABCD", "--yes"],
    call: ["enroll", { url: "https://h", code: "ABCD", replace: true }],
  },
  "enroll at no address": { words: ["enroll", "hub", "ABCD"], exit: 2, err: /not an address/ },
  "enroll without a code": { words: ["enroll", "https://h", "-"], exit: 2, err: /empty/ },
  "enroll refused": {
    words: ["enroll", "https://h", "ABCD"],
    given: ({ sync }) => {
      sync.enroll = () => {
        throw new PlantError("ENROL_REFUSED", { reason: "used" });
      };
    },
    exit: 8,
    err: /ENROL_REFUSED/,
  },
  "backup create by terminal": {
    words: ["backup", "create"],
    options: { secrets: ["swordfish", "swordfish"] },
    call: ["backup-create", { passphrase: "swordfish" }],
    out: /^\/data\/backups\/new\.plb\n$/,
    err: /50 % of 1\.0 kB …/,
  },
  "backup create by file": {
    words: ["backup", "create", "--passphrase-file", "/key"],
    options: secretFile,
    call: ["backup-create", { passphrase: "swordfish" }],
  },
  "backup create, typed wrongly": {
    words: ["backup", "create"],
    options: { secrets: ["swordfish", "swordfsh"] },
    exit: 2,
    err: /differ/,
  },
  "backup create without a terminal": {
    words: ["backup", "create"],
    exit: 2,
    err: /PASSPHRASE_MISS/,
  },
  "backup create, file missing": {
    words: ["backup", "create", "--passphrase-file", "/none"],
    exit: 2,
    err: /FILE_UNREADABLE/,
  },
  "a passphrase is no argument": { words: ["backup", "create", "swordfish"], exit: 2 },
  "backup restore wants consent": { words: ["backup", "restore", "/b"], exit: 12 },
  "backup restore": {
    words: ["backup", "restore", "/b", "--yes", "--passphrase-file", "/key"],
    options: secretFile,
    call: ["backup-restore", { path: "/b", passphrase: "swordfish" }],
    out: /epoch e{32}/,
  },
  "backup list": { words: ["backup", "list"], out: /2025-11-21 15:32:07 +1\.0 kB +\/data\/a\.plb/ },
  log: {
    words: ["log", "--errors", "--since", "1h"],
    out: /error +plantd-sync +the link was lost/,
  },
  "log since nonsense": {
    words: ["log", "--since", "soon"],
    exit: 2,
    err: /--since is a duration/,
  },
  "log with no lines": { words: ["log", "--lines", "0"], exit: 2, err: /--lines is a number/ },
  "log with every filter": {
    words: [
      ...["log", "--level", "warn", "--part", "driver:line1", "--context", "driver:line1.bus"],
      ...["--service", "plantd", "--grep", "a.c", "--until", "1m", "--lines", "7"],
    ],
    call: [
      "tail",
      {
        ...{ level: "warn", part: "driver:line1", context: "driver:line1.bus", service: "plantd" },
        ...{ grep: "a.c", until: now - 60_000, limit: 7 },
      },
    ],
  },
  "log of no level": { words: ["log", "--level", "loud"], exit: 2, err: /--level is debug/ },
  "log for no text": { words: ["log", "--grep", ""], exit: 2, err: /--grep needs a text/ },
  "log level": {
    words: ["log", "level"],
    call: ["levels", {}],
    out: /PART +LEVEL +WHY +FOR\n.*\nstore +debug +set; configured info +10 min more +on its way/,
  },
  "log level of a part": {
    words: ["log", "level", "http"],
    out: /http +info +as configured +away/,
  },
  "log level of nobody": { words: ["log", "level", "x"], exit: 3, err: /PART_UNKNOWN/ },
  "log level set": {
    words: ["log", "level", "store", "debug", "--for", "10m"],
    call: ["set-level", { part: "store", level: "debug", forMs: 600_000 }],
    out: /^store writes debug for 10 min\n {2}it takes effect within a few seconds/,
  },
  "log level set for good": {
    words: ["log", "level", "x", "configured"],
    call: ["set-level", { part: "x", level: "configured" }],
    out: /^x writes as configured\n {2}no part of this name runs/,
  },
  "log level that is none": {
    words: ["log", "level", "store", "loud"],
    exit: 2,
    err: /a level is/,
  },
  version: { words: ["version"], out: /^plantd-edge 9\.9\.9 {2}node / },
  "explain a code": { words: ["explain", "device_silent"], out: /^DEVICE_SILENT\n {2}means/ },
  "explain all": { words: ["explain"], out: /BROKER_UNREACHABLE +The broker/ },
  "explain a misspelt code": {
    words: ["explain", "QUEUE_FUL"],
    exit: 3,
    err: /next {4}plant explain QUEUE_FULL/,
  },
  "explain nothing known": { words: ["explain", "WHAT"], exit: 3, err: /There is no code WHAT/ },
  "config check of nothing": { words: ["config", "check"], out: /all defaults · 0 lines/ },
  "config check of a file that is not there": {
    words: ["config", "check", "/no"],
    exit: 9,
    err: /CONFIG_UNREADABLE/,
  },
  "config check finds a profile nobody has": {
    words: ["config", "check", "/c.yaml"],
    options: {
      files: {
        "/c.yaml":
          "lines: { l: { kind: modbus-tcp, host: h, devices: { m: { profile: em34 } } } }\n",
      },
    },
    exit: 9,
    out: /^\/c\.yaml:1:58 lines\.l\.devices\.m\.profile: there is no profile em34 for modbus-tcp; .*em340/,
  },
  "config check finds every flaw": {
    words: ["config", "check", "/c.yaml"],
    options: { files: { "/c.yaml": "http:\n  prot: 1\n  port: 70000\n" } },
    exit: 9,
    out: /\/c\.yaml:2:3 http\.prot.*\n\/c\.yaml:3:3 http\.port/,
    err: /2 flaws/,
  },
  help: { words: ["--help"], out: /Usage: plant \[command\]/ },
  "help of a command": { words: ["set", "--help"], out: /--expect <value>/ },
  "a group alone shows its commands": { words: ["state"], out: /create-scope/ },
  "an unknown command": { words: ["statsu"], exit: 2, err: /Did you mean status/ },
  "an unknown flag": { words: ["status", "--jsn"], exit: 2, err: /unknown option/ },
  "too many arguments": { words: ["status", "now"], exit: 2 },
  "a timeout that is no duration": {
    words: ["--timeout", "x", "values"],
    exit: 2,
    err: /--timeout/,
  },
  "what cannot be watched": { words: ["set", "a/b", "1", "--watch"], exit: 2, err: /watched/ },
};

for (const [name, row] of Object.entries(rows)) {
  test(`plant: ${name}`, async () => {
    const parts = fakeParts();
    row.given?.(parts);
    const { exit, out, err } = await plant(row.words, parts, row.options);
    assert.equal(exit, row.exit ?? 0, `${out}\n${err}`);
    if (row.out !== undefined) assert.match(out, row.out);
    if (row.err !== undefined) assert.match(err, row.err);
    if ((row.exit ?? 0) !== 0 && row.out === undefined) assert.equal(out, "", "errors are no data");
    if (row.call !== undefined) {
      const last = parts.bus.calls.at(-1);
      assert.deepEqual([last?.operation, last?.args], row.call);
    }
  });
}

for (const [name, row] of Object.entries(rows)) {
  if (/help|group/.test(name)) continue;
  test(`plant --json: ${name}`, async () => {
    const parts = fakeParts();
    row.given?.(parts);
    const { exit, out } = await plant([...row.words, "--json"], parts, {
      ...row.options,
      ...(row.options?.secrets && { secrets: secretsAgain(name) }),
    });
    assert.equal(exit, row.exit ?? 0, out);
    const document = JSON.parse(out);
    const schema = exit === 0 ? /^plant\.[a-z]+\/1$/ : /^plant\.error\/1$/;
    assert.match(document.schema, schema);
    if (exit !== 0) assert.equal(document.exit, exit);
  });
}

/** The first run has taken the answers out of the row. */
function secretsAgain(name: string): string[] {
  return name.includes("wrongly") ? ["swordfish", "swordfsh"] : ["swordfish", "swordfish"];
}

test("the error document keeps its fields", async () => {
  const { out } = await plant(["values", "nobody", "--json"]);
  const document = JSON.parse(out);
  assert.deepEqual(Object.keys(document), [
    "schema",
    "code",
    "message",
    "causes",
    "next",
    "exit",
    "retryable",
    "detail",
  ]);
});

test("the status document keeps its fields", async () => {
  const { out } = await plant(["--json"]);
  const shape = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.length === 0 ? [] : [shape(value[0])];
    if (typeof value !== "object" || value === null) return value === null ? "null" : typeof value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shape(inner)]));
  };
  const { box, ...rest } = shape(JSON.parse(out)) as Record<string, Record<string, unknown>>;
  assert.deepEqual(Object.keys(box ?? {}).sort(), [
    "clock",
    "cores",
    "disk",
    "load",
    "memory",
    "node",
    "store",
    "uptimeMs",
    "version",
  ]);
  assert.deepEqual(rest, {
    schema: "string",
    gateway: "string",
    site: "string",
    time: "number",
    verdict: { state: "string", words: "string", why: [], next: "string" },
    broker: { waiting: "number", atWork: "number", services: [] },
    buses: [
      {
        line: "string",
        kind: "string",
        settings: "string",
        state: "string",
        reason: "null",
        code: "null",
        devicesOk: "number",
        devicesTotal: "number",
        okPerMinute: "number",
        timeouts: "number",
        crc: "number",
        exceptions: "number",
        late: "number",
        loadPercent: "number",
        turnaroundMs: { p50: "number", p99: "number" },
        lastHour: ["number"],
      },
    ],
    devices: [
      {
        name: "string",
        line: "string",
        profile: "string",
        unit: "number",
        state: "string",
        code: "null",
        since: "number",
        lastGood: "number",
        points: "number",
      },
    ],
    link: {
      state: "string",
      enrolled: "boolean",
      device: "string",
      centre: "string",
      mqtt: "string",
      since: "number",
      reason: "null",
      words: "null",
      retryAt: "null",
      paused: "boolean",
      lastAck: "number",
    },
    outbox: {
      waiting: "number",
      oldest: "null",
      drainMs: "null",
      streams: {
        state: { head: "number", watermark: "number", waiting: "number" },
        event: { head: "number", watermark: "number", waiting: "number" },
      },
    },
    parts: [{ name: "string", state: "string", code: "null", words: "null" }],
  });
});

test("colour is for terminals alone, and NO_COLOR takes it away", async () => {
  const sequence = "\u001b[";
  const terminal = { isTerminal: true };
  assert.ok((await plant([], fakeParts(), terminal)).out.includes(sequence));
  assert.ok(!(await plant([])).out.includes(sequence));
  assert.ok(!(await plant(["--no-color"], fakeParts(), terminal)).out.includes(sequence));
  const env = { NO_COLOR: "1" };
  assert.ok(!(await plant([], fakeParts(), { ...terminal, env })).out.includes(sequence));
});

test("what devices and parts say is shown, never obeyed by the terminal", async () => {
  const evil = "\u001b]0;owned\u0007\u001b[2J\u009b31m\u202etxt\n● gateway  OK\u001b[31m";
  const parts = fakeParts();
  const line = { level: "error", service: "x", timestamp: "2026-07-28T15:00:00.000Z" };
  parts.bus.serve("org.plantd.Logger", { tail: () => ({ lines: [{ ...line, message: evil }] }) });
  parts.points.push(pointOf("tag", evil, { unit: evil, quality: "uncertain", reason: evil }));
  const commands = ["log", "values", "state list", "state get device/meter-1 tag"];
  for (const command of commands) {
    for (const options of [{}, { isTerminal: true }]) {
      const { exit, out, err } = await plant(command.split(" "), parts, options);
      assert.equal(exit, 0, command);
      const colours = /\p{Cc}\[(33|31|2|1|0)m/gu;
      const left = (out + err).replaceAll(colours, "isTerminal" in options ? "" : "\u001b");
      assert.doesNotMatch(left, /[^\P{Cc}\n]|\u202e/u, command);
      assert.match(left, /\ufffd\]0;owned/, command);
      assert.doesNotMatch(left, /^● gateway/m, command);
    }
  }
  const { out } = await plant(["--json", "values"], parts);
  assert.match(out, /\\u001b\]0;owned/);
});

test("watching prints a line of JSON each time and ends when the time is over", async () => {
  const clock = fakeClock(now);
  const terminal = fakeTerminal({ clock, client: fakeParts().bus.client() });
  const words = ["values", "meter-1", "--watch=2s", "--for", "5s", "--json"];
  const over = runCli(words, terminal.io);
  await clock.advance(6000);
  assert.equal(await over, 0);
  const lines = terminal.printed.out.trim().split("\n");
  assert.equal(lines.length, 3);
  for (const line of lines) assert.equal(JSON.parse(line).schema, "plant.values/1");
});

test("values --changed prints what changes, and Ctrl-C is exit 130", async () => {
  const clock = fakeClock(now);
  const parts = fakeParts();
  const terminal = fakeTerminal({ clock, client: parts.bus.client() });
  const over = runCli(["values", "meter-1", "--changed", "--json"], terminal.io);
  await clock.advance(10);
  parts.publish(pointOf("voltage", 231, { revision: 10 }));
  parts.publish(pointOf("voltage", 9, { revision: 11, scope: "device/meter-2" }));
  await clock.advance(10);
  terminal.interrupt();
  await clock.advance(10);
  assert.equal(await over, 130);
  const [first, ...rest] = terminal.printed.out.trim().split("\n{");
  const point = JSON.parse(first ?? "");
  assert.deepEqual(
    [point.schema, point.scope, point.value],
    ["plant.point/1", "device/meter-1", 231],
  );
  assert.equal(rest.length, 1, "only the error follows");
});

test("values --changed ends with 0 when its time is over", async () => {
  const clock = fakeClock(now);
  const parts = fakeParts();
  const terminal = fakeTerminal({ clock, client: parts.bus.client() });
  const over = runCli(["values", "--changed", "--for", "3s", "--quiet"], terminal.io);
  await clock.advance(4000);
  assert.equal(await over, 0);
  assert.deepEqual(terminal.printed, { out: "", err: "" });
});

test("the next step of every error names commands that there are", () => {
  const reference = cliReference();
  const names = new Set(
    [...reference.matchAll(/^### `plant ([^`<[]+)/gm)].map((m) => m[1]?.trim()),
  );
  for (const [code, { next }] of Object.entries(catalogue)) {
    for (const [, words = ""] of next.matchAll(/\bplant ((?:[a-z-]+ ?)+)/g)) {
      const [first = "", ...more] = words.trim().split(" ");
      const longer = [1, 2].map((count) => [first, ...more.slice(0, count)].join(" "));
      const isKnown = [first, ...longer].some((name) => names.has(name)) || first === "help";
      assert.ok(isKnown || first === "outbox", `${code}: plant ${words}`);
    }
  }
});

test("the reference names every command once, and no secret on a command line", () => {
  const text = cliReference();
  const names = [...text.matchAll(/^### `plant ([^`]+)`/gm)].map((match) => match[1]);
  assert.equal(new Set(names).size, names.length);
  assert.ok(names.length >= 20);
  assert.ok(!/--pass(word|phrase) /.test(text));
});

test("the broker is the one of the flag, else the local one, else that of the environment", async () => {
  const env = { PLANTD_BROKER_ENDPOINT: "tcp://far:9797" };
  const reach = async (words: readonly string[], isRemote: boolean) => {
    const client = fakeParts().bus.client();
    const terminal = fakeTerminal({ clock: fakeClock(now), client, env, isRemote });
    await runCli(words, terminal.io);
    return terminal.endpoints.join();
  };
  assert.equal(await reach(["--endpoint", "tcp://near:1", "outbox"], false), "tcp://near:1");
  assert.match(await reach(["outbox"], false), /^ipc:.*\.sock$/);
  assert.equal(await reach(["outbox"], true), "tcp://far:9797");
});

test("a key file is for the network alone: by flag, else by the environment", async () => {
  const reach = async (words: readonly string[], env: Record<string, string> = {}) => {
    const client = fakeParts().bus.client();
    const terminal = fakeTerminal({ clock: fakeClock(now), client, env });
    await runCli([...words, "outbox"], terminal.io);
    return terminal.endpoints.join();
  };
  const far = ["--endpoint", "tcp://near:1"];
  assert.equal(await reach([...far, "--key", "a.key"]), "tcp://near:1 by a.key");
  const env = { PLANT_KEY_FILE: "b.key" };
  assert.equal(await reach(far, env), "tcp://near:1 by b.key");
  assert.equal(await reach([...far, "--key", "a.key"], env), "tcp://near:1 by a.key");
  assert.equal(await reach(far), "tcp://near:1");
  assert.doesNotMatch(await reach([], env), /b\.key/);
});

test("with -v an error in words tells its trace, and always as JSON", async () => {
  const trace = "ab".repeat(16);
  const denied = () => Promise.reject(new PlantError("DENIED", { principal: "driver", trace }));
  const client = { ...fakeParts().bus.client(), call: denied };
  const said = async (...words: string[]) => {
    const { err, out } = await plant(["values", ...words], fakeParts(), { client });
    return err + out;
  };
  assert.match(await said("-v"), new RegExp(`\\n  trace   ${trace}\\n`));
  assert.doesNotMatch(await said(), /ab{2}|abab/);
  assert.match(await said("--json"), new RegExp(`"trace": "${trace}"`));
});

test("words after -- are no flags", async () => {
  const { out, err } = await plant(["set", "--", "nobody/x", "--json"]);
  assert.equal(out, "");
  assert.match(err, /DEVICE_UNKNOWN/);
});

test("plant broker key prints the public key of the broker, and makes pairs for peers", async () => {
  const none = { client: undefined } as unknown as Partial<TerminalOptions>;
  const own = await plant(["broker", "key"], fakeParts(), none);
  assert.deepEqual([own.exit, own.err], [0, "The pair is in /data/broker/broker.key\n"]);
  assert.match(own.out, /^\S{40}\n$/);
  const { out } = await plant(["broker", "key", "--json"], fakeParts(), none);
  assert.deepEqual(JSON.parse(out), {
    schema: "plant.broker-key/1",
    file: "/data/broker/broker.key",
    publicKey: own.out.trim(),
  });
  const made = await plant(["broker", "key", "--new", "pump", "--principal", "http"]);
  assert.equal(made.exit, 0);
  assert.equal(made.out, own.out);
  assert.match(made.err, /pump\.key/);
  assert.match(made.err, /principal: http\n +keys: \["\S{40}"\]/);
});

test("plant broker key refuses names that are none, files that are there, words that lack --new", async () => {
  const files = { "pump.key": "x" };
  const there = await plant(["broker", "key", "--new", "pump"], fakeParts(), { files });
  assert.deepEqual([there.exit, there.out], [2, ""]);
  assert.match(there.err, /KEY_FILE_EXISTS/);
  for (const words of [
    ["--new", "../x"],
    ["--new", ""],
    ["--file", "x"],
    ["--principal", "x"],
  ]) {
    const { exit, err } = await plant(["broker", "key", ...words]);
    assert.equal(exit, 2);
    assert.match(err, /USAGE/);
  }
});
