// The owner of a line against slaves that answer late, in halves, wrongly, twice or never.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type BusOwner,
  type BusOwnerOptions,
  type Exchange,
  type Lane,
  type Outcome,
  startBusOwner,
} from "../../../drivers/kit/kit.ts";
import {
  decodeResponse,
  encodeRequest,
  frameRtu,
  functionOf,
  judgeRtu,
  type Request,
} from "../../../drivers/modbus/modbus.ts";
import { openLog } from "../../../src/util/log.ts";
import { type Random, seededRandom } from "../../../src/util/random.ts";
import { answerRtu, nameValue } from "../../fakes/modbus-slaves.ts";
import { type FakePort, fakePort, type Piece } from "../../fakes/port.ts";
import { racingClock } from "../../fakes/racing-clock.ts";

const timeoutMs = 100;
const log = openLog({ service: "test", level: "error", write: () => {} });

interface Asked {
  readonly unit?: number;
  readonly table?: "holding" | "input";
  readonly address?: number;
  readonly count?: number;
  readonly lane?: Lane;
  readonly deadlineMs?: number;
}

function read(asked: Asked): Exchange<number[]> {
  const { unit = 1, table = "holding", address = 0, count = 1, lane = "poll" } = asked;
  const request: Request = { is: "read", table, address, count };
  return {
    lane,
    signature: { unit, function: functionOf(request), answerBytes: 5 + 2 * count },
    frame: frameRtu(unit, encodeRequest(request)),
    ...(asked.deadlineMs === undefined ? {} : { deadlineMs: asked.deadlineMs }),
    judge(received) {
      const framed = judgeRtu(unit, request, received);
      if (framed.is !== "frame") return framed;
      const response = decodeResponse(request, framed.pdu);
      if (response.is === "data") {
        const words = Array.from({ length: count }, (_, at) => {
          const [high = 0, low = 0] = response.data.subarray(at * 2);
          return high * 256 + low;
        });
        return { is: "answer", value: words };
      }
      if (response.is === "exception") return response;
      return response.is === "wrong" ? response : { is: "wrong", fault: "malformed" };
    },
  };
}

function expected({ unit = 1, table = "holding", address = 0, count = 1 }: Asked): number[] {
  return Array.from({ length: count }, (_, at) => nameValue(unit, table, address + at));
}

interface Rig extends AsyncDisposable {
  readonly clock: ReturnType<typeof racingClock>;
  readonly port: FakePort;
  readonly owner: BusOwner;
  readonly states: string[];
  ask(asked: Asked): Promise<Outcome<number[]>>;
}

async function rig(
  answer: (frame: Uint8Array, atMs: number) => readonly Piece[],
  more: Partial<BusOwnerOptions> & {
    readonly pairsAnswers?: boolean;
    readonly timeoutsMax?: number;
    readonly write?: (line: string) => void;
  } = {},
): Promise<Rig> {
  const clock = racingClock();
  const port = fakePort({ clock, answer, ...more });
  const states: string[] = [];
  const { write } = more;
  const told = write === undefined ? log : openLog({ service: "test", level: "info", write });
  const deps = { clock, log: told, random: seededRandom(1), boot: "b".repeat(32) };
  const owner = startBusOwner(
    { ...deps, clockSync: () => "none" },
    {
      port,
      timing: { characterMs: 0.1, silenceMs: 0.5 },
      timeoutMs,
      turnaroundMs: 0,
      queueMax: 16,
      lateTimeouts: 3,
      onState: ({ state }) => states.push(state),
      ...more,
    },
  );
  await clock.pass(1);
  return {
    clock,
    port,
    owner,
    states,
    ask: (asked) => owner.request(read(asked)),
    [Symbol.asyncDispose]: async () => {
      await clock.run(Promise.resolve(owner[Symbol.asyncDispose]()));
    },
  };
}

const right = (frame: Uint8Array) => answerRtu(frame) ?? new Uint8Array(0);
const after = (afterMs: number, bytes: Uint8Array): Piece => ({ afterMs, bytes });

test("an answer is taken with its time, and counted", async () => {
  await using line = await rig((frame) => [after(20, right(frame))]);
  const outcome = await line.clock.run(line.ask({ unit: 3, address: 7, count: 2 }));
  assert.equal(outcome.is, "ok");
  assert.deepEqual(
    outcome.is === "ok" && outcome.value,
    expected({ unit: 3, address: 7, count: 2 }),
  );
  const { counters, turnaroundMs } = line.owner.report();
  assert.deepEqual([counters.requests, counters.ok], [1, 1]);
  assert.ok(turnaroundMs.p50 > 18 && turnaroundMs.p50 < 21, `${turnaroundMs.p50}`);
});

test("one request is on the line at a time, with the silence between two", async () => {
  await using line = await rig((frame) => [after(10, right(frame))]);
  await line.clock.run(Promise.all([1, 2, 3].map((unit) => line.ask({ unit }))));
  const times = line.port.written.map(({ atMs }) => atMs);
  for (const [at, ms] of times.entries()) {
    if (at > 0) assert.ok(ms - (times[at - 1] ?? 0) >= 10.5, times.join(" "));
  }
});

const faulty: Readonly<Record<string, readonly [(right: Uint8Array) => Piece[], string]>> = {
  "half a frame": [(bytes) => [after(5, bytes.subarray(0, 4))], "fault short"],
  "a broken CRC": [(bytes) => [after(5, flip(bytes, 4))], "fault crc"],
  "another unit": [(bytes) => [after(5, flip(bytes, 0))], "fault unit"],
  "another function": [(bytes) => [after(5, flip(bytes, 1))], "fault function"],
  "another byte count": [(bytes) => [after(5, flip(bytes, 2))], "fault byte-count"],
  "a byte too many": [(bytes) => [after(5, Uint8Array.from([...bytes, 0]))], "fault long"],
  "noise before the answer": [
    (bytes) => [after(5, Uint8Array.from([0xff, ...bytes]))],
    "fault unit",
  ],
  nothing: [() => [], "timeout"],
};

for (const [name, [pieces, ending]] of Object.entries(faulty)) {
  test(`${name} is no answer, and the line works on`, async () => {
    let isFaulty = true;
    await using line = await rig((frame) => {
      const bytes = right(frame);
      return isFaulty ? pieces(bytes) : [after(5, bytes)];
    });
    const outcome = await line.clock.run(line.ask({ address: 9 }));
    assert.equal(outcome.is === "fault" ? `fault ${outcome.fault}` : outcome.is, ending);
    isFaulty = false;
    const next = await line.clock.run(line.ask({ address: 9 }));
    assert.deepEqual(next.is === "ok" && next.value, expected({ address: 9 }));
  });
}

function flip(bytes: Uint8Array, at: number): Uint8Array {
  const broken = Uint8Array.from(bytes);
  broken[at] = (broken[at] ?? 0) ^ 0x04;
  return broken;
}

test("a device that needs a pause gets it before every request", async () => {
  await using line = await rig((frame) => [after(10, right(frame))], { turnaroundMs: 30 });
  await line.clock.run(Promise.all([1, 2].map((unit) => line.ask({ unit }))));
  const [first = { atMs: 0 }, second = { atMs: 0 }] = line.port.written;
  assert.ok(second.atMs - first.atMs >= 40.5, `${second.atMs - first.atMs}`);
});

test("after a timeout the next request waits until the line is silent", async () => {
  const babble = [5, 12, 19, 26, 33].map((ms) => after(timeoutMs + ms, Uint8Array.of(0xff)));
  let answers = 0;
  await using line = await rig((frame) => {
    answers += 1;
    return answers === 1 ? babble : [after(5, right(frame))];
  });
  const asked = [line.ask({ unit: 1 }), line.ask({ unit: 2, count: 2 })];
  const [first, second] = await line.clock.run(Promise.all(asked));
  assert.deepEqual([first?.is, second?.is], ["timeout", "ok"]);
  const [sent = { atMs: 0 }, next = { atMs: 0 }] = line.port.written;
  assert.ok(next.atMs - sent.atMs >= timeoutMs + 33 + 10, `${next.atMs - sent.atMs}`);
});

test("an answer in pieces is put together, however small they are", async () => {
  await using line = await rig((frame) =>
    [...right(frame)].map((byte, at) => after(5 + at * 2, Uint8Array.of(byte))),
  );
  const outcome = await line.clock.run(line.ask({ count: 20 }));
  assert.deepEqual(outcome.is === "ok" && outcome.value, expected({ count: 20 }));
});

test("after a timeout a like request waits out the late window; an unlike one does not", async () => {
  let answers = 0;
  await using line = await rig((frame) => {
    answers += 1;
    return answers === 1 ? [] : [after(5, right(frame))];
  });
  const first = line.ask({ address: 100 });
  const like = line.ask({ address: 200 });
  const unlike = line.ask({ address: 300, count: 2 });
  assert.equal((await line.clock.run(first)).is, "timeout");
  assert.equal((await line.clock.run(unlike)).is, "ok");
  const early = line.clock.monotonicMs();
  assert.equal((await line.clock.run(like)).is, "ok");
  const [sent = { atMs: 0 }, , last = { atMs: 0 }] = line.port.written;
  assert.ok(early - sent.atMs < 2 * timeoutMs);
  assert.ok(last.atMs - sent.atMs >= 3 * timeoutMs, `${last.atMs - sent.atMs}`);
});

test("a late answer between request and answer of another is dropped, and both are told apart", async () => {
  let answers = 0;
  await using line = await rig((frame) => {
    answers += 1;
    return [after(answers === 1 ? timeoutMs + 30 : 60, right(frame))];
  });
  const late = line.ask({ unit: 1, address: 100 });
  const other = line.ask({ unit: 2, address: 200 });
  assert.equal((await line.clock.run(late)).is, "timeout");
  const outcome = await line.clock.run(other);
  assert.deepEqual(outcome.is === "ok" && outcome.value, expected({ unit: 2, address: 200 }));
  assert.equal(line.owner.report().counters.late, 1);
});

test("an answer with a late one of another behind it in one lump stays the answer", async () => {
  const frames: Uint8Array[] = [];
  await using line = await rig((frame) => {
    frames.push(right(frame));
    const [, second = frame] = frames;
    if (frames.length <= 2) return []; // long ago to unit 1, and shortly before to unit 2
    if (frames.length > 3) return [after(5, right(frame))];
    return [after(20, Buffer.concat([right(frame), second]))];
  });
  assert.equal((await line.clock.run(line.ask({ unit: 1, address: 100 }))).is, "timeout");
  await line.clock.pass(20_000);
  assert.equal((await line.clock.run(line.ask({ unit: 2, address: 200 }))).is, "timeout");
  const outcome = await line.clock.run(line.ask({ unit: 1, address: 300 }));
  assert.deepEqual(outcome.is === "ok" && outcome.value, expected({ unit: 1, address: 300 }));
  assert.equal(line.owner.report().counters.late, 1);
  // Nobody is taken for slow because of it: the next one alike goes out at once.
  const fromMs = line.clock.monotonicMs();
  assert.equal((await line.clock.run(line.ask({ unit: 1, address: 301 }))).is, "ok");
  assert.ok(line.clock.monotonicMs() - fromMs < timeoutMs);
});

test("an exception that may be a late one is not taken for an answer", async () => {
  const refusal = (frame: Uint8Array) =>
    frameRtu(frame[0] ?? 0, Uint8Array.of((frame[1] ?? 0) | 0x80, 2));
  let answers = 0;
  await using line = await rig((frame) => {
    answers += 1;
    return answers === 1 ? [after(timeoutMs + 40, refusal(frame))] : [after(90, right(frame))];
  });
  const late = line.ask({ address: 5000 });
  const other = line.ask({ address: 1, count: 3 });
  assert.equal((await line.clock.run(late)).is, "timeout");
  const outcome = await line.clock.run(other);
  assert.deepEqual(outcome, { is: "fault", fault: "ambiguous" });
});

test("an adapter that echoes is understood", async () => {
  await using line = await rig((frame) => [after(1, frame), after(20, right(frame))]);
  for (const address of [1, 2, 3]) {
    const outcome = await line.clock.run(line.ask({ address }));
    assert.deepEqual(outcome.is === "ok" && outcome.value, expected({ address }));
  }
});

test("writes go before polls, and units take turns", async () => {
  await using line = await rig((frame) => [after(5, right(frame))]);
  const asked: Asked[] = [
    { unit: 1, address: 0 },
    { unit: 1, address: 1 },
    { unit: 1, address: 2 },
    { unit: 2, address: 3 },
    { unit: 3, address: 4, lane: "write" },
  ];
  await line.clock.run(Promise.all(asked.map((one) => line.ask(one))));
  const order = line.port.written.map(({ bytes }) => bytes[3]);
  assert.equal(order.indexOf(4) <= 1, true, order.join(" "));
  assert.ok(order.indexOf(3) < order.indexOf(2), order.join(" "));
});

test("a full queue refuses, an expired request never goes out", async () => {
  await using line = await rig((frame) => [after(50, right(frame))]);
  const many = Array.from({ length: 30 }, (_, address) => line.ask({ address }));
  await line.clock.pass(1);
  const soon = line.ask({ address: 99, lane: "write", deadlineMs: line.clock.monotonicMs() + 20 });
  const outcomes = await line.clock.run(Promise.all(many));
  const refused = outcomes.filter((one) => one.is === "unsent" && one.code === "LIMIT_REACHED");
  assert.ok(refused.length >= 13, `${refused.length}`);
  assert.deepEqual(await line.clock.run(soon), { is: "unsent", code: "EXPIRED" });
  assert.equal(
    line.port.written.some(({ bytes }) => bytes[3] === 99),
    false,
  );
});

test("unplugged in mid-frame the request is lost, and within 5 s of the plug all is right", async () => {
  await using line = await rig((frame) => [
    after(5, right(frame).subarray(0, 3)),
    after(15, right(frame).subarray(3)),
  ]);
  const asked = line.ask({ count: 4 });
  await line.clock.pass(8);
  line.port.unplug();
  assert.deepEqual(await line.clock.run(asked), { is: "lost", code: "PORT_UNUSABLE" });
  await line.clock.pass(60_000);
  assert.deepEqual(await line.clock.run(line.ask({})), { is: "unsent", code: "PORT_UNUSABLE" });
  line.port.plug();
  await line.clock.pass(5000);
  assert.equal((await line.clock.run(line.ask({}))).is, "ok");
  assert.deepEqual(line.states, ["open", "failed", "open"]);
});

test("a peer that takes the connection and drops it is asked seldom, and told of once", async () => {
  const lines: string[] = [];
  let drop = () => {};
  let isDropping = true;
  await using line = await rig((frame) => [after(5, right(frame))], {
    write: (text) => lines.push(text),
    onState: ({ state }) => {
      if (state === "open" && isDropping) drop();
    },
  });
  drop = () => {
    void line.clock.sleep(1).then(() => {
      line.port.unplug();
      line.port.plug();
    });
  };
  drop();
  await line.clock.pass(60_000);
  assert.ok(line.port.opens > 20 && line.port.opens < 150, `${line.port.opens} opens`);
  const messages = () => lines.map((text) => JSON.parse(text).message);
  assert.deepEqual(messages(), ["line is open", "line is down"]);
  isDropping = false;
  await line.clock.pass(3000);
  assert.equal((await line.clock.run(line.ask({}))).is, "ok");
  assert.deepEqual(messages().slice(2), ["line is open"]);
});

test("a port that takes no bytes for ever is opened anew", async () => {
  await using line = await rig((frame) => [after(5, right(frame))]);
  line.port.stall();
  assert.deepEqual(await line.clock.run(line.ask({})), { is: "lost", code: "PORT_UNUSABLE" });
  await line.clock.pass(5000);
  assert.equal((await line.clock.run(line.ask({}))).is, "ok");
  assert.deepEqual(line.states, ["open", "failed", "open"]);
});

test("a connection on which nothing is answered is made anew", async () => {
  let isDead = true;
  await using line = await rig((frame) => (isDead ? [] : [after(5, right(frame))]), {
    pairsAnswers: true,
    timeoutsMax: 3,
  });
  for (let count = 0; count < 3; count += 1) await line.clock.run(line.ask({}));
  isDead = false;
  assert.equal((await line.clock.run(line.ask({}))).is, "ok");
  assert.equal(line.port.opens, 2);
});

/** Slaves that do all that slaves do wrong. Their answers never come later than the late window. */
function unruly(random: Random): (frame: Uint8Array) => Piece[] {
  return (frame) => {
    const bytes = right(frame);
    const lateMs = timeoutMs * (1 + 1.8 * random.unit());
    const quickMs = 1 + 60 * random.unit();
    const luck = random.unit();
    if (luck < 0.5) return [after(quickMs, bytes)];
    if (luck < 0.75) return [after(lateMs, bytes)];
    if (luck < 0.8) return [];
    if (luck < 0.84) return [after(quickMs, flip(bytes, Math.floor(random.unit() * bytes.length)))];
    if (luck < 0.87)
      return [after(quickMs, bytes.subarray(0, 4)), after(lateMs, bytes.subarray(4))];
    if (luck < 0.9) return [after(quickMs, random.bytes(1 + Math.floor(random.unit() * 9)))];
    if (luck < 0.94) {
      const cut = 1 + Math.floor(random.unit() * (bytes.length - 1));
      return [after(quickMs, bytes.subarray(0, cut)), after(quickMs + 20, bytes.subarray(cut))];
    }
    if (luck < 0.97) {
      const refusal = frameRtu(frame[0] ?? 0, Uint8Array.of((frame[1] ?? 0) | 0x80, 4));
      return [after(random.unit() < 0.5 ? quickMs : lateMs, refusal)];
    }
    return [after(2, frame), after(quickMs + 5, bytes)];
  };
}

/** One slow device behind all units: it answers every request, in order, when it comes to it. */
function slow(random: Random): (frame: Uint8Array, atMs: number) => Piece[] {
  let freeMs = 0;
  return (frame, atMs) => {
    const workMs = random.unit() < 0.3 ? 250 * random.unit() : 30 * random.unit();
    freeMs = Math.max(freeMs, atMs) + 1 + workMs;
    return [after(freeMs - atMs, right(frame))];
  };
}

const slaves = { "unruly slaves": unruly, "one slow slave behind all units": slow };

for (const [name, make] of Object.entries(slaves)) {
  test(`of thousands of exchanges with ${name} none gets another's value`, async () => {
    const seed = Math.floor(performance.now() * 1e6) >>> 0;
    const random = seededRandom(seed);
    await using line = await rig(make(random));
    let answered = 0;
    const wrong: string[] = [];
    const one = async () => {
      const asked: Asked = {
        unit: 1 + Math.floor(random.unit() * 3),
        table: random.unit() < 0.5 ? "holding" : "input",
        address: Math.floor(random.unit() * 900),
        count: [1, 1, 2, 10][Math.floor(random.unit() * 4)] ?? 1,
      };
      const outcome = await line.ask(asked);
      if (outcome.is !== "ok") return;
      answered += 1;
      if (outcome.value.join() !== expected(asked).join()) wrong.push(JSON.stringify(asked));
    };
    const worker = async () => {
      for (let count = 0; count < 750; count += 1) await one();
    };
    await line.clock.run(Promise.all([worker(), worker(), worker(), worker()]));
    assert.deepEqual(wrong, [], `seed ${seed}`);
    const { counters } = line.owner.report();
    assert.ok(answered > 900, `seed ${seed}: ${answered} answered`);
    assert.ok(counters.late > 50, `seed ${seed}: ${counters.late} late`);
  });
}
