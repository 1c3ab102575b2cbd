// The whole walk of a value: what a slave of another make holds is what the centre's store has, for
// every point of every profile, every type and every word order, over RTU and over TCP.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { loadProfile, parseProfile, profileNames } from "../../drivers/modbus/modbus.ts";
import { startPtyPair } from "../../drivers/simulator/simulator.ts";
import { askBroker } from "../../src/status/status.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { seededRandom } from "../../src/util/random.ts";
import { fieldFolder } from "../fakes/field-line.ts";
import { everything, holdings, isWhatIsHeld, startForeignSlave } from "../fakes/foreign-slave.ts";
import { until } from "../fakes/patience.ts";
import { startSite } from "./site.ts";

const folder = fieldFolder();
after(() => folder[Symbol.dispose]());
const seed = Number(process.env.SEED ?? (Math.random() * 2 ** 32) >>> 0);

interface StoredPoint {
  readonly scope: string;
  readonly key: string;
  readonly value: unknown;
  readonly quality: string;
  readonly reason?: string;
}

const ids = [...profileNames(), "everything"];
const profileOf = (id: string) =>
  id === "everything" ? parseProfile(id, everything) : loadProfile(id);

test(`what a foreign slave holds is in the centre's store, over RTU and TCP (seed ${seed})`, async (t) => {
  const random = seededRandom(seed);
  /** Other values on each line, so that no line can stand in for the other. */
  const heldOn = () => ids.map((id) => ({ id, held: holdings(random, profileOf(id)) }));
  const lines = { rtu: heldOn(), tcp: heldOn() };
  const unitsOf = (line: keyof typeof lines) =>
    Object.fromEntries(lines[line].map(({ held }, at) => [String(at + 1), held]));
  const devicesOf = (line: string) =>
    Object.fromEntries(
      ids.map((id, at) => [`${line}-${id}`, { profile: id, unit: at + 1, intervalMs: 500 }]),
    );

  const ends = [folder.path("a"), folder.path("b")] as const;
  await using _cable = await startPtyPair({ clock }, ends);
  const port = { path: ends[1], baud: 115_200 };
  await using _rtu = await startForeignSlave(port, unitsOf("rtu"));
  await using tcp = await startForeignSlave({}, unitsOf("tcp"));
  const timing = { timeoutMs: 2000, turnaroundMs: 0 };
  const config = {
    lines: {
      rtu: {
        kind: "modbus-rtu",
        path: ends[0],
        baud: 115_200,
        ...timing,
        devices: devicesOf("rtu"),
      },
      tcp: {
        kind: "modbus-tcp",
        host: "127.0.0.1",
        port: tcp.ready,
        ...timing,
        devices: devicesOf("tcp"),
      },
    },
  };
  await using site = await startSite({
    config: JSON.stringify(config),
    profiles: { everything },
    lines: ["rtu", "tcp"],
  });

  const wanted = Object.entries(lines).flatMap(([line, devices]) =>
    devices.flatMap(({ id, held }) =>
      held.map((item) => ({ id, scope: `device/${line}-${id}`, item })),
    ),
  );
  const stored = await until(
    "every point is at the centre",
    async () => {
      const { values } = (await site.fetchJson("/api/v1/devices/gw-test/values")) as {
        values: StoredPoint[];
      };
      const byName = new Map(values.map((point) => [`${point.scope}/${point.key}`, point]));
      const isThere = wanted.every(({ scope, item }) => byName.has(`${scope}/${item.name}`));
      return isThere && byName;
    },
    { limitMs: 60_000, errorsMeanNotYet: true },
  );
  for (const { id, scope, item } of wanted) {
    const point = stored.get(`${scope}/${item.name}`);
    const words = `seed ${seed}: ${scope}/${item.name} holds ${item.raw}, stored ${JSON.stringify(point)}`;
    assert.ok(isWhatIsHeld(profileOf(id), item, point?.value), words);
  }
  await using client = await site.client();
  const { refused, counters } = await askBroker(client, { deadlineMs: 5000 });
  assert.ok((counters.requests ?? 0) > 0);
  assert.equal(refused.denied, 0, "no part is denied what it asks");
  t.diagnostic(`${wanted.length} points compared`);
});
