// One gateway, a broker that misbehaves and a centre under a virtual clock; the decisions of both
// ends are those of production, store and disks are simple. It must not know sockets.
import {
  type Body,
  encodeBatch,
  encodeBody,
  peekHeader,
  seal,
  topicOf,
} from "../../src/batch/batch.ts";
import type { IngestState } from "../../src/central/central.ts";
import { dueMs, step } from "../../src/sync/protocol.ts";
import {
  initialState,
  type SyncEffect,
  type SyncInput,
  type SyncState,
} from "../../src/sync/sync-state.ts";
import type { Stamp } from "../../src/util/clock.ts";
import { generateSigningKey, keyId } from "../../src/util/ed25519.ts";
import { seededRandom } from "../../src/util/random.ts";
import { openAgenda } from "./agenda.ts";
import { CentreSide } from "./centre-side.ts";
import { ModelStore, written } from "./model-store.ts";
import { heard } from "./sealed.ts";
import { openVerdict } from "./verdict.ts";

/** A rule broken on purpose, to see that the simulation finds it. */
export type Flaw =
  | "trim on PUBACK"
  | "trim without a young welcome"
  | "no gate"
  | "no cut"
  | "ack before commit"
  | "no resend"
  | "no new epoch"
  | "duplicates applied"
  | "covers without last values";

export interface Play {
  /** How long faults happen, in virtual milliseconds. */
  readonly faultyMs?: number;
  readonly flaw?: Flaw;
}

/** What a run showed. */
export interface Outcome {
  readonly records: number;
  readonly batches: number;
  readonly faults: number;
  /** One sentence each; empty is good. */
  readonly violations: readonly string[];
}

const settings = {
  batchRecordsMax: 8,
  batchAgeMs: 250,
  windowMax: 4,
  resendMs: 2000,
  helloMs: 20_000,
  readWaitMs: 10_000,
  version: "0.1.0",
};
const keepMs = 60_000;
const welcomeMs = 20_000;
/** A copy of the centre is never older than what the gateway keeps for it. */
const copyAgeMs = 30_000;
/** Some messages are late by this. */
const slowMs = 20_000;
const quietMs = 1_800_000;
const device = "gw-1";
const key = generateSigningKey();
const signer = { key, kid: keyId(key.publicKey) };

/** Plays one schedule; its violations, the seed named in each. */
export function run(seed: number, play: Play = {}): string[] {
  return playUpstream(seed, play).violations.map((words) => `seed ${seed}: ${words}`);
}

/** Plays one schedule. */
export function playUpstream(seed: number, play: Play = {}): Outcome {
  const { faultyMs = 150_000, flaw } = play;
  const random = seededRandom(seed);
  const chance = (likelihood: number) => random.unit() < likelihood;
  const draw = (top: number) => Math.floor(random.unit() * top);
  const agenda = openAgenda();
  let serial = 0;
  const fresh = (width: number) => {
    serial += 1;
    return serial.toString(16).padStart(width, "0");
  };
  const loss = random.unit() * 0.3;
  const copies = random.unit() * 0.3;
  const delayMs = 10 + random.unit() * 3000;
  let wallAhead = 1_700_000_000_000;
  let isFaulty = true;
  /** Changes when the broker forgets. */
  let brokerLife = 0;
  let connection = 0;
  let life = 0;
  let generation = 0;
  let batches = 0;
  let faults = 0;
  /** Nothing else happens until then. */
  let calmUntilMs = 0;
  let callOff = () => {};
  const boot = fresh(32);
  const now = (): Stamp => {
    const mono = Math.round(agenda.nowMs);
    return { wall: wallAhead + mono, boot, mono, sync: "ntp" };
  };
  const store = new ModelStore(fresh(32), {
    keepMs,
    welcomeMs,
    isEpochKept: flaw === "no new epoch",
    isLastLost: flaw === "covers without last values",
    isTrimBlind: flaw === "trim without a young welcome",
  });
  const verdict = openVerdict(store);
  const centre = new CentreSide(
    {
      agenda,
      draw,
      now,
      send: ({ payload }) => {
        verdict.answered(heard(payload));
        carryDown(() => take({ kind: "message", message: heard(payload) }));
      },
      committed: (block) => verdict.committed(block),
      isHasty: flaw === "ack before commit",
      meddle: flaw === "duplicates applied" ? applyAgain : () => {},
    },
    { id: device, kid: signer.kid, publicKey: key.publicKey },
  );
  let state: SyncState = initialState(settings, { generation, keySet: 1 });

  /** The broker: drops, doubles, delays and reorders what it carries, and forgets it all at times. */
  function carry(deliver: () => void): void {
    const mine = brokerLife;
    const times = !isFaulty ? 1 : chance(loss) ? 0 : chance(copies) ? 2 : 1;
    for (let copy = 0; copy < times; copy += 1) {
      const slow = isFaulty && chance(0.03) ? slowMs : 0;
      const wait = 1 + random.unit() * (isFaulty ? delayMs : 20) + slow;
      agenda.after(wait, () => {
        if (mine === brokerLife) deliver();
      });
    }
  }

  /** Down messages are for a connection; some of an old one survive in its session. */
  function carryDown(deliver: () => void): void {
    const mine = connection;
    carry(() => {
      if (state.isConnected && (mine === connection || chance(0.1))) deliver();
    });
  }

  function publish(fields: Pick<Parameters<typeof seal>[0], "type" | "nonce">, body: Uint8Array) {
    const all = { device, ...fields, ...now() };
    const message = { topic: topicOf(all), payload: seal(all, body, signer) };
    carry(() => centre.deliver(message));
  }

  function take(input: SyncInput): void {
    const effects = step(state, input, { nowMs: agenda.nowMs, nonce: () => fresh(22) });
    const used = Object.values(state.streams).reduce((sum, { flights }) => sum + flights.length, 0);
    if (used > state.window) verdict.violate("more batches on their way than the window allows");
    for (const effect of effects) act(effect);
    if (flaw === "no resend") {
      for (const stream of Object.values(state.streams))
        stream.resendAtMs = Number.POSITIVE_INFINITY;
    }
    callOff();
    const due = dueMs(state);
    if (due !== Number.POSITIVE_INFINITY) {
      callOff = agenda.after(Math.max(1, due - agenda.nowMs), () => take({ kind: "tick" }));
    }
  }

  /** Answers of the store take a while, and come to the life of sync that asked. */
  function fromStore<T>(ms: number, ask: () => T, input: (answer: T) => SyncInput): void {
    const mine = life;
    agenda.after(ms, () => {
      const answer = ask();
      agenda.after(1 + draw(20), () => {
        if (mine === life) take(input(answer));
      });
    });
  }

  function act(effect: SyncEffect): void {
    switch (effect.kind) {
      case "hello":
        publish({ type: "hello", nonce: effect.nonce }, encodeBody("hello", told(effect.body)));
        break;
      case "batch": {
        if (!state.isWelcome) verdict.violate("a batch before the welcome");
        batches += 1;
        const { records, nonce, ...place } = effect.batch;
        publish({ type: "batch", nonce, ...place }, encodeBatch(records));
        const { stream, last: sequence } = place;
        if (flaw === "trim on PUBACK") mark({ stream, sequence, isWelcome: true });
        break;
      }
      case "ask-position":
        fromStore(
          1,
          () => (isFaulty && chance(0.02) ? undefined : store.position()),
          (position) =>
            position === undefined ? { kind: "position-failed" } : { kind: "position", position },
        );
        break;
      case "read": {
        const { id, stream, after, limit, waitMs } = effect;
        const isThere = (store.changes(stream, after, limit)?.records.length ?? 1) > 0;
        const isWritten = stream === "state" || stream === "event";
        fromStore(
          isThere ? 1 : 1 + (isWritten ? Math.min(waitMs, 500) : waitMs),
          () => (isFaulty && chance(0.02) ? undefined : store.changes(stream, after, limit)),
          (answer) =>
            answer === undefined
              ? { kind: "read-failed", id, stream }
              : { kind: "records", answer: { id, stream, ...answer } },
        );
        break;
      }
      case "watermark":
        if (flaw !== "trim on PUBACK") mark(effect);
        break;
      case "generation":
        generation = effect.generation;
        break;
      default:
    }
  }

  function mark(word: Parameters<ModelStore["mark"]>[0]): void {
    agenda.after(1 + draw(20), () => {
      if (!isFaulty || !chance(0.02)) store.mark(word, agenda.nowMs);
    });
  }

  /** What the greeting says, or a rule broken. */
  function told(body: Body<"hello">): Body<"hello"> {
    const lineage = body.lineage.map((entry) => ({
      ...entry,
      ...(flaw === "no gate" ? { parent: null } : {}),
      ...(flaw === "no cut" ? { cuts: {} } : {}),
    }));
    return { ...body, lineage };
  }

  function connect(): void {
    connection += 1;
    take({ kind: "connected", window: 1 + draw(6) });
  }

  function disconnect(ms: number): void {
    connection += 1;
    const mine = connection;
    take({ kind: "disconnected" });
    agenda.after(ms, () => {
      if (mine === connection) connect();
    });
  }

  /** A fault some time from now, unless all has to heal by then. */
  function later(mostMs: number, act: () => void): void {
    agenda.after(random.unit() * mostMs, () => {
      if (isFaulty) act();
    });
  }

  function restartSync(): void {
    life += 1;
    state = initialState(settings, { centre: "centre-1", generation, keySet: 1 });
    connect();
  }

  const faultsOf: readonly (() => void)[] = [
    () => disconnect(random.unit() * 5000),
    () => disconnect(random.unit() * 90_000),
    () => {
      brokerLife += 1;
      disconnect(random.unit() * 3000);
    },
    restartSync,
    () => store.reopen(fresh(32)),
    () => store.thin(draw),
    () => store.thin(draw),
    () => store.thin(draw),
    () => store.snapshot(),
    () => store.restore(fresh(32), draw),
    () => {
      store.snapshot();
      later(10_000, () => store.restore(fresh(32), draw));
    },
    () => centre.crash(),
    () => centre.crash(),
    () => centre.snapshot(),
    () => centre.restore(copyAgeMs),
    () => {
      centre.snapshot();
      later(copyAgeMs, () => {
        centre.restore(copyAgeMs);
        // So long away that what was acknowledged after the copy has grown old.
        disconnect(keepMs * 1.5);
        calmUntilMs = agenda.nowMs + keepMs * 1.5;
      });
    },
    () => {
      store.reopen(fresh(32));
      restartSync();
    },
    () => {
      wallAhead += Math.round((random.unit() - 0.5) * 1e11);
    },
  ];

  function write(): void {
    if (agenda.nowMs > faultyMs) return;
    const burst = chance(0.15) ? 20 : 1;
    for (let at = 0; at < burst; at += 1) {
      const place = { scope: "device/pump", key: `k${draw(5)}` };
      const what = random.unit();
      serial += 1;
      if (what < 0.2) store.tell(serial, now());
      else if (what < 0.25) store.remove(place, now());
      else if (what < 0.256) store.poison(1_000_000 + serial, now());
      else store.set({ ...place, value: serial, quality: "good", time: now() });
    }
    agenda.after(random.unit() * 5000, write);
  }

  function fault(): void {
    if (agenda.nowMs > faultyMs) return;
    if (agenda.nowMs < calmUntilMs) {
      agenda.after(calmUntilMs - agenda.nowMs, fault);
      return;
    }
    faults += 1;
    faultsOf[draw(faultsOf.length)]?.();
    agenda.after(random.unit() * 15_000, fault);
  }

  function trim(): void {
    store.trim(agenda.nowMs);
    if (isFaulty && chance(0.5)) store.thin(draw);
    agenda.after(10_000, trim);
  }

  connect();
  agenda.after(1, write);
  agenda.after(random.unit() * 15_000, fault);
  agenda.after(10_000, trim);
  agenda.runUntil(faultyMs);
  isFaulty = false;
  if (!state.isConnected) connect();
  const isDone = () => {
    const { streams } = store.position();
    return written.every((name) => streams[name]?.watermark === streams[name]?.head);
  };
  agenda.runUntil(agenda.nowMs + slowMs);
  while (!isDone() && agenda.nowMs < faultyMs + quietMs) agenda.runUntil(agenda.nowMs + 1000);
  if (!isDone()) verdict.violate("it never drains");
  // One more greeting makes a restored store the head that has nothing to send.
  agenda.runUntil(agenda.nowMs + settings.helloMs + 1000);
  verdict.close(centre, device);
  const records = written.reduce((sum, name) => sum + store.head(name), 0);
  return { records, batches, faults, violations: verdict.violations };
}

/** A batch that is applied already is made to look new. */
function applyAgain(state: IngestState, payload: Uint8Array): void {
  const { type, epoch: id = "", stream, first = 1, last = 0 } = peekHeader(payload);
  const epochs = state.devices.get(device)?.lineage.epochs;
  const epoch = epochs?.get(id);
  if (type !== "batch" || epoch === undefined || stream === undefined || last < first) return;
  if (last > (epoch.position[stream] ?? 0)) return;
  epochs?.set(id, { ...epoch, position: { ...epoch.position, [stream]: first - 1 } });
}
