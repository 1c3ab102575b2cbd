// `plant broker` and `plant echo` in memory: tables, measurements, losses, exit codes.
// It must not open sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runCli } from "../../../src/cli/cli.ts";
import { PlantError } from "../../../src/util/errors.ts";
import type { Operation } from "../../../src/worker/worker.ts";
import { type FakeBus, fakeBus } from "../../fakes/bus.ts";
import { type FakeClock, fakeClock } from "../../fakes/clock.ts";
import { fakeTerminal, type TerminalOptions } from "../../fakes/terminal.ts";

const echo = "org.plantd.module.Echo";

interface World {
  readonly bus: FakeBus;
  readonly clock: FakeClock;
}

interface Result {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

function world(operations: Readonly<Record<string, Operation>> | undefined = undefined): World {
  const clock = fakeClock();
  const bus = fakeBus();
  const late: Operation = async ({ args }) => {
    await clock.sleep(3);
    return args;
  };
  bus.serve(echo, operations ?? { echo: late });
  bus.internal["mmi.queue"] = { services: [serviceOf()], more: 0 };
  bus.internal["mmi.workers"] = { workers: [workerOf()], more: 0 };
  bus.internal["mmi.broker"] = brokerOf();
  return { bus, clock };
}

function serviceOf(more: object = {}) {
  return {
    service: "org.plantd.State",
    workers: 1,
    busy: 2,
    concurrency: 512,
    queued: 0,
    oldestMs: 0,
    policy: { retry: "never", attemptsMax: 2, busyTimeoutMs: 1, queueMax: 1000, queueTtlMs: 1 },
    totals: { requests: 12_345, replies: 12_340, retries: 4, expired: 2, lost: 1 },
    latency: { count: 12_340, sumMs: 1, p50Ms: 0.41, p99Ms: 12.3, buckets: [] },
    ...more,
  };
}

function workerOf(more: object = {}) {
  const principal = { service: "org.plantd.State", principal: "store", dialect: "plant" };
  return { ...principal, busy: 2, concurrency: 512, silentMs: 420, paused: false, ...more };
}

function brokerOf(more: object = {}) {
  const refused = { denied: 3, malformed: 0, queue: 14 };
  return { queued: 0, dispatched: 2, refused, wire: { refused: { greeting: 2 } }, ...more };
}

/** Runs a command while time moves on by itself. */
async function plant(
  words: readonly string[],
  { bus, clock }: World = world(),
  options: Partial<TerminalOptions> = {},
): Promise<Result> {
  const terminal = fakeTerminal({ clock, client: bus.client(), ...options });
  let exit: number | undefined;
  const run = runCli(words, terminal.io).then((code) => {
    exit = code;
  });
  for (let step = 0; exit === undefined && step < 10_000; step += 1) await clock.advance(1);
  await run;
  return { exit: exit ?? -1, ...terminal.printed };
}

function documentsOf(out: string): Record<string, unknown>[] {
  return out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

test("broker services tells load and answer times of each", async () => {
  const { exit, out } = await plant(["broker", "services"]);
  assert.equal(exit, 0);
  assert.match(
    out,
    /^SERVICE +WORKERS +BUSY +QUEUED +REQUESTS +RETRIES +EXPIRED +LOST +p50 \/ p99$/m,
  );
  assert.match(out, /^org\.plantd\.State +1 +2\/512 +0 +12.345 +4 +2 +1 +0\.41 \/ 12 ms$/m);
});

test("broker alone is broker services", async () => {
  assert.equal((await plant(["broker"])).out, (await plant(["broker", "services"])).out);
});

test("broker services on a small screen leaves out columns instead of wrapping", async () => {
  for (const columns of [40, 60, 80]) {
    const { out } = await plant(["broker", "services"], world(), { isTerminal: true, columns });
    for (const line of out.split("\n")) assert.ok(line.length <= Math.max(columns, 54), line);
    assert.match(out, /p50 \/ p99/);
  }
});

test("broker services of an empty bus says so", async () => {
  const here = world();
  here.bus.internal["mmi.queue"] = { services: [], more: 0 };
  assert.match((await plant(["broker", "services"], here)).out, /^nobody serves anything/);
});

test("broker workers tells who serves, and who is held back", async () => {
  const here = world();
  const slow = workerOf({ service: "a", paused: true, silentMs: 61_000, dialect: "rfc7" });
  here.bus.internal["mmi.workers"] = { workers: [workerOf(), slow], more: 7 };
  const { out } = await plant(["broker", "workers"], here);
  assert.match(out, /^a +store +rfc7 +2\/512 +61 s +held back.*\norg\.plantd\.State +store/m);
  assert.match(out, /… and 7 more\n$/);
});

test("broker queue tells what waits, what was refused, and exits 1 where nobody serves", async () => {
  const here = world();
  const quiet = await plant(["broker", "queue"], here);
  assert.equal(quiet.exit, 0);
  assert.equal(
    quiet.out,
    "0 waiting · 2 at work\n\nREFUSED  queue 14 · denied 3\n\nON THE WIRE  greeting 2\n",
  );
  const waiting = serviceOf({
    service: "b",
    workers: 0,
    busy: 0,
    concurrency: 0,
    queued: 9,
    oldestMs: 2500,
  });
  here.bus.internal["mmi.queue"] = { services: [serviceOf(), waiting], more: 0 };
  here.bus.internal["mmi.broker"] = brokerOf({ queued: 9, refused: {}, wire: {} });
  const { exit, out } = await plant(["broker", "queue"], here);
  assert.equal(exit, 1);
  assert.match(out, /^9 waiting · 2 at work\n\nSERVICE +WAITING/);
  assert.match(out, /^b +9\/1000 +2\.5 s +0 +0 +nobody serves it\n\nnext {2}plant log/m);
  assert.doesNotMatch(out, /REFUSED|State/);
});

test("every broker command speaks JSON with a schema", async () => {
  for (const [name, keys] of [
    ["services", ["schema", "services", "more"]],
    ["workers", ["schema", "workers", "more"]],
    ["queue", ["schema", "queued", "dispatched", "services", "refused", "wireRefused"]],
  ] as const) {
    const { out } = await plant(["broker", name, "--json"]);
    const document = JSON.parse(out);
    assert.equal(document.schema, `plant.broker-${name}/1`);
    assert.deepEqual(Object.keys(document), keys);
  }
});

test("an answer of another broker is read as far as it goes, and refused where it is none", async () => {
  const here = world();
  here.bus.internal["mmi.queue"] = { services: [{ service: "a", latency: 5, totals: "x" }] };
  here.bus.internal["mmi.workers"] = "501";
  const lenient = await plant(["broker", "services"], here);
  assert.match(lenient.err, /REMOTE_SHAPE/);
  here.bus.internal["mmi.queue"] = { services: [{ service: "a", queued: "x", totals: "x" }] };
  assert.match((await plant(["broker", "services"], here)).out, /^a +0 +0 +0 +0 +0 +0 +0 +–$/m);
  const { exit, err } = await plant(["broker", "workers"], here);
  assert.equal(exit, 1);
  assert.match(err, /REMOTE_SHAPE/);
});

test("ping and echo tell every reply, then least, middle and worst", async () => {
  const ping = await plant(["broker", "ping", "--count", "2"]);
  assert.equal(ping.exit, 0);
  assert.match(
    ping.out,
    /^reply {2}1 {2}0\.000 ms\nreply {2}2 {2}0\.000 ms\n2 sent · 0 lost · min/,
  );
  assert.match(ping.err, /^the broker\n$/);
  const { exit, out, err } = await plant(["echo"]);
  assert.equal(exit, 0);
  assert.match(
    out,
    /^(reply {2}\d {2}3\.000 ms\n){4}4 sent · 0 lost · min 3\.000 ms · median 3\.000 ms · p99 3\.000 ms\n$/,
  );
  assert.equal(err, `${echo}  5 B\n`);
});

test("echo sends the size it is told, to the service it is told", async () => {
  const here = world();
  here.bus.serve("other", { echo: ({ args }) => args });
  const words = ["echo", "abc", "--size", "8", "--service", "other", "--count", "1", "--json"];
  const { exit, out } = await plant(words, here);
  assert.equal(exit, 0);
  assert.deepEqual(here.bus.calls, [
    { service: "other", operation: "echo", args: { text: "abcabcab" } },
  ]);
  assert.deepEqual(documentsOf(out), [
    { schema: "plant.echo-reply/1", number: 1, tookMs: 0 },
    {
      schema: "plant.echo/2",
      target: "other",
      bytes: 8,
      sent: 1,
      lost: 0,
      minMs: 0,
      medianMs: 0,
      p99Ms: 0,
      maxMs: 0,
    },
  ]);
});

test("a text that is not ASCII goes there and back too", async () => {
  const { exit, err } = await plant(["echo", "grüezi", "--count", "1"]);
  assert.equal(exit, 0);
  assert.match(err, /7 B/);
});

for (const code of [
  "TIME_RAN_OUT",
  "WORKER_LOST",
  "QUEUE_FULL",
  "BROKER_LOST",
  "EXPIRED",
] as const) {
  test(`echo counts ${code} as a loss, goes on, and exits 1`, async () => {
    let round = 0;
    const flaky: Operation = ({ args }) => {
      round += 1;
      if (round === 2) throw new PlantError(code, { service: echo });
      return args;
    };
    const here = world({ echo: flaky });
    const { exit, out } = await plant(["echo", "--count", "3"], here);
    assert.equal(exit, 1);
    assert.match(out, /^lost {3}2 {2}\S/m);
    assert.match(out, /^3 sent · 1 lost \(33 %\) · min/m);
    round = 0;
    const json = documentsOf((await plant(["echo", "--count", "3", "--json"], here)).out);
    assert.deepEqual(json[1], { schema: "plant.echo-loss/1", number: 2, code });
  });
}

test("another text than was sent is a loss", async () => {
  const { exit, out } = await plant(
    ["echo", "--count", "1"],
    world({ echo: () => ({ text: "x" }) }),
  );
  assert.equal(exit, 1);
  assert.match(out, /Another text came back[\s\S]*1 lost \(100 %\)\n$/);
});

test("what will not mend ends the measurement at once", async () => {
  const refusing = world({
    echo: () => {
      throw new PlantError("DENIED", { principal: "technician", service: echo });
    },
  });
  const { exit, out, err } = await plant(["echo"], refusing);
  assert.equal(exit, 8);
  assert.equal(out, "");
  assert.match(err, /DENIED/);
});

test("echo that nobody offers is told at once, with how to start it", async () => {
  const here = world();
  here.bus.serve(echo, {})();
  const { exit, err } = await plant(["echo"], here);
  assert.equal(exit, 7);
  assert.match(err, /NO_SERVICE[\s\S]*next {4}plantd run echo/);
  assert.match(
    (await plant(["echo", "--service", "x"], here)).err,
    /next {4}plant broker services/,
  );
});

const wrong = [
  ["echo", "--count", "0"],
  ["echo", "--count", "1000001"],
  ["echo", "--count", "x"],
  ["echo", "--size", "16000001"],
  ["echo", "--size", "-1"],
  ["echo", "--interval", "soon"],
  ["echo", "--service", ""],
  ["echo", "--service", "two words"],
  ["echo", "--timeout", "0"],
  ["broker", "ping", "--size", "3"],
  ["broker", "nothing"],
];
for (const words of wrong) {
  test(`${words.join(" ")} is wrong usage`, async () => {
    assert.equal((await plant(words)).exit, 2);
  });
}

const streams = [
  ["echo", "--service", "nobody"],
  ["echo", "--count", "0"],
  ["broker", "ping", "--count", "x"],
  ["broker", "services", "--watch=1ms", "--for", "20ms"],
  ["log"],
];
for (const words of streams) {
  test(`${words.join(" ")}: every line of its JSON is a document, an error's too`, async () => {
    const here = world();
    if (words.includes("services")) here.bus.internal["mmi.queue"] = { services: "none" };
    const { exit, out } = await plant([...words, "--json"], here);
    assert.notEqual(exit, 0);
    const schemas = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).schema);
    assert.equal(schemas.at(-1), "plant.error/1");
  });
}

test("a screen that is watched stands until there is something else to show", async () => {
  const { bus, clock } = world();
  const client = bus.client();
  const held = Promise.withResolvers<never>();
  let asked = 0;
  const late = {
    ...client,
    request: (...about: Parameters<typeof client.request>) => {
      asked += 1;
      return asked < 3 ? client.request(...about) : held.promise;
    },
  };
  const terminal = fakeTerminal({ clock, client: late, isTerminal: true });
  const run = runCli(["broker", "services", "--watch=1s"], terminal.io);
  await clock.advance(3000);
  assert.ok(asked >= 3);
  const [, shown = ""] = terminal.printed.out.split("\u001b[3J");
  assert.match(shown, /org\.plantd\.State/);
  assert.equal(terminal.printed.out.split("\u001b[3J").length, 2, "it was cleared once");
  terminal.interrupt();
  held.reject(new PlantError("CANCELLED"));
  assert.equal(await run, 130);
});

test("a watch that is interrupted ends with a document of one line", async () => {
  const { bus, clock } = world();
  const terminal = fakeTerminal({ clock, client: bus.client() });
  const run = runCli(["broker", "queue", "--watch", "--json"], terminal.io);
  await clock.advance(5000);
  terminal.interrupt();
  assert.equal(await run, 130);
  const lines = terminal.printed.out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.ok(lines.length >= 3);
  assert.equal(lines.at(-1).code, "CANCELLED");
});

test("wrong usage names the help of the command, or of its group", async () => {
  const next = async (...words: string[]) =>
    /next {4}(.*)/.exec((await plant(words)).err)?.[1] ?? "nothing";
  assert.equal(await next("echo", "--count", "0"), "plant echo --help");
  assert.equal(await next("broker", "ping", "--watch"), "plant broker ping --help");
  assert.equal(await next("broker", "pong"), "plant broker --help");
  assert.equal(await next("brokr"), "plant help");
});

test("a service without the operation echo says that another is wanted", async () => {
  const here = world();
  here.bus.serve("com.example.Pump", { start: () => 1 });
  const { err } = await plant(["echo", "--service", "com.example.Pump"], here);
  assert.match(err, /OPERATION_UNKNOWN[\s\S]*next {4}another --service/);
});

test("echo interrupted sums up what there is, and exits 130", async () => {
  const { bus, clock } = world();
  const terminal = fakeTerminal({ clock, client: bus.client() });
  const run = runCli(["echo", "--count", "1000"], terminal.io);
  await clock.advance(300);
  terminal.interrupt();
  assert.equal(await run, 130);
  assert.match(terminal.printed.out, /^2 sent · 0 lost · min/m);
  assert.equal(terminal.printed.err, `${echo}  5 B\n`);
});

test("echo for a while takes as many as fit, and exits 0", async () => {
  const { exit, out } = await plant(["echo", "--for", "1s", "--interval", "100ms"]);
  assert.equal(exit, 0);
  assert.match(out, /^10 sent · 0 lost/m);
});
