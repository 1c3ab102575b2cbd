// A centre's ingest over rows in memory, and what it answered, for tests of its rules.
// It must not know the rules.
import { type IngestState, ingestStep, openIngest } from "../../../src/central/central.ts";
import { deviceChange } from "../../../src/central/rows.ts";
import { generateSigningKey, keyId } from "../../../src/util/ed25519.ts";
import { type FakeGateway, type Heard, hear, type Message, stampAt } from "../../fakes/gateway.ts";
import { type FakeShelf, fakeShelf } from "../../fakes/shelf.ts";

export interface Bench {
  readonly shelf: FakeShelf;
  state: IngestState;
  now: number;
  /** Everything answered so far. */
  readonly heard: (Heard & { nonce: string })[];
  /** Feeds a message, commits, and returns what was answered to it. */
  feed(message: Message): Heard[];
  tick(): Heard[];
  /** The process dies: what was in memory is gone. */
  restart(): void;
  enrol(gateway: FakeGateway): void;
}

const centreKey = generateSigningKey();

export function openBench(shelf = fakeShelf()): Bench {
  const signer = { key: centreKey, kid: keyId(centreKey.publicKey) };
  const make = () =>
    openIngest({ reader: shelf, answers: { centre: "centre-1", signer }, heldBytesMax: 65_536 });
  const run = (input: Parameters<typeof ingestStep>[1]) => {
    const answers: (Heard & { nonce: string })[] = [];
    for (const effect of ingestStep(bench.state, input)) {
      if (effect.kind === "write") {
        for (const { key, value } of effect.changes) {
          if (value === undefined) shelf.rows.delete(key);
          else shelf.rows.set(key, value);
        }
      } else answers.push(hear(effect.payload, centreKey.publicKey));
    }
    for (const answer of answers) bench.heard.push(answer);
    return answers;
  };
  const bench: Bench = {
    shelf,
    state: make(),
    now: 1_000_000,
    heard: [],
    feed: (message) => run({ kind: "message", ...message, now: stampAt(bench.now) }),
    tick: () => run({ kind: "tick", now: stampAt(bench.now) }),
    restart() {
      bench.state = make();
    },
    enrol({ id, key, kid }) {
      const publicKey = Buffer.from(key.publicKey).toString("base64url");
      const { key: row, value } = deviceChange({ id, createdAt: 1, enrolledAt: 1, kid, publicKey });
      shelf.rows.set(row, value!);
      bench.state.devices.delete(id);
    },
  };
  return bench;
}

/** Greets, and learns the generations of the answer. */
export function greet(
  bench: Bench,
  gateway: FakeGateway,
  ...greeting: Parameters<FakeGateway["hello"]>
): Extract<Heard, { type: "welcome" }> {
  const welcome = bench.feed(gateway.hello(...greeting)).find(({ type }) => type === "welcome");
  if (welcome?.type !== "welcome") throw new Error("no welcome came");
  Object.assign(gateway.generations, welcome.generations);
  return welcome;
}
