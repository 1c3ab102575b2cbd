// What a greeting changes: epochs get their generations, and what will never come is given up.
// Pure. It must not know how the answer is sent.
import { type Body, type Stream, streams } from "../batch/batch.ts";
import type { Stamp } from "../util/clock.ts";
import type { DeviceState } from "./device-state.ts";
import { ancestryOf, type Epoch, positionOf, startOf } from "./lineage.ts";
import { epochChange, type Gap, gapChange } from "./rows.ts";
import type { Change } from "./shelf.ts";

/** A claimed generation lies at most this far ahead of the clock: 100 years in milliseconds. */
const claimAheadMax = 3_155_760_000_000;

/** Takes a greeting into the device's lineage; returns the rows that changed. */
export function greet(device: DeviceState, greeting: Body<"hello">, now: Stamp): Change[] {
  const { epochs } = device.lineage;
  const changed = new Set<string>();
  // Generations grow for ever: no claim may use up the numbers there are.
  const isClaimSane = greeting.generation - now.wall <= claimAheadMax;
  let highest = isClaimSane ? Math.max(greeting.generation, now.wall) : now.wall;
  for (const { generation } of epochs.values()) highest = Math.max(highest, generation);
  for (const { epoch: id, parent, cuts } of greeting.lineage) {
    if (epochs.has(id)) continue;
    highest += 1;
    const start = Object.fromEntries(
      streams.flatMap((stream) => (cuts[stream] === undefined ? [] : [[stream, cuts[stream]]])),
    );
    const epoch: Epoch = {
      id,
      ...(parent === null ? {} : { parent }),
      generation: highest,
      start,
      position: {},
    };
    epochs.set(id, epoch);
    changed.add(id);
  }
  const gaps = giveUp(device, greeting, now, changed);
  return [
    ...gaps.map((gap) => gapChange(device.id, gap)),
    ...[...changed].flatMap((id) => {
      const epoch = epochs.get(id);
      return epoch === undefined ? [] : [epochChange(device.id, epoch)];
    }),
  ];
}

/**
 * Where a gateway no longer keeps what the centre lacks (a centre restored from a backup, or a new
 * one), the stream stands behind the loss and the loss is a row.
 */
function giveUp(
  device: DeviceState,
  greeting: Body<"hello">,
  now: Stamp,
  changed: Set<string>,
): Gap[] {
  const newest = greeting.lineage.at(-1);
  if (newest === undefined) return [];
  const line = ancestryOf(device.lineage, newest.epoch);
  const gaps: Gap[] = [];
  for (const stream of streams) {
    const kept = greeting.streams[stream];
    if (kept === undefined) continue;
    line.forEach(({ id }, at) => {
      const epoch = device.lineage.epochs.get(id);
      const child = line[at - 1];
      if (epoch === undefined) return;
      const end = child === undefined ? kept.last : startOf(child, stream);
      const to = Math.min(kept.first - 1, end);
      const from = positionOf(epoch, stream) + 1;
      if (from > to) return;
      device.lineage.epochs.set(id, moved(epoch, stream, to));
      changed.add(id);
      const { generation } = epoch;
      gaps.push({ stream, epoch: id, generation, from, to, reason: "gone", at: now.wall });
    });
  }
  return gaps;
}

function moved(epoch: Epoch, stream: Stream, to: number): Epoch {
  return { ...epoch, position: { ...epoch.position, [stream]: to } };
}
