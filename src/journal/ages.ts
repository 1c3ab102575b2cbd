// How long records have been acknowledged, by a few samples of the running time. Pure; it must not
// know consumers or the disk.
import { type Stream, streams } from "./head.ts";
import { type AgeSample, type AgeSamples, forStreams } from "./tables.ts";

/** Samples over the time that acknowledged records stay: what they are late by is a share of it. */
const samplesMax = 24;
/** Time between two writings of the samples: a restart makes records younger by this at most. */
const keepEveryMs = 600_000;

export class AckAges {
  readonly #keepMs: number;
  readonly #samples: Record<Stream, AgeSample[]>;
  #keptAtMs: number | undefined;

  /** @param keepMs how long acknowledged records stay. */
  constructor(kept: AgeSamples | undefined, keepMs: number) {
    this.#keepMs = keepMs;
    this.#samples = forStreams((stream) => [...(kept?.[stream] ?? [])]);
  }

  /** Everything up to `sequence` is acknowledged at this running time. */
  note(stream: Stream, { runMs, sequence }: AgeSample): void {
    const samples = this.#samples[stream];
    // What is taken back was never acknowledged: its age begins when it is said again.
    while ((samples.at(-1)?.sequence ?? 0) > sequence) samples.pop();
    if (samples.at(-1)?.runMs === runMs) samples.pop();
    const last = samples.at(-1);
    const isSoon = last !== undefined && runMs - last.runMs < this.#keepMs / samplesMax;
    if (isSoon || last?.sequence === sequence) return;
    samples.push({ runMs, sequence });
    // Of those that are old enough the newest says it all.
    const due = samples.findLastIndex((sample) => sample.runMs <= runMs - this.#keepMs);
    if (due > 0) samples.splice(0, due);
  }

  /** Up to which sequence records have been acknowledged for `keepMs`; 0 for none. */
  agedTo(stream: Stream, runMs: number): number {
    const due = this.#samples[stream].findLast((sample) => sample.runMs <= runMs - this.#keepMs);
    return due?.sequence ?? 0;
  }

  /** The samples, when it is time to write them. */
  due(runMs: number): AgeSamples | undefined {
    if (this.#keptAtMs !== undefined && runMs - this.#keptAtMs < keepEveryMs) return undefined;
    if (streams.every((stream) => this.#samples[stream].length === 0)) return undefined;
    this.#keptAtMs = runMs;
    return this.#samples;
  }
}
