// There and back again, many times: each reply's time, then least, middle, worst and losses.
// It must not know what is asked, nor whom.
import { asPlantError, type PlantError } from "../util/errors.ts";
import type { Invocation } from "./command.ts";
import { parseDuration } from "./duration.ts";
import { wholeOption } from "./numbers.ts";

const presetCount = 4;
const presetIntervalMs = 200;
/** Times kept to find the middle: a million round trips are 8 MB. */
const countMax = 1_000_000;

/** What is measured. */
export interface Measurement {
  /** What is asked, for people: `org.plantd.module.Echo`. */
  readonly target: string;
  readonly schema: "plant.echo" | "plant.broker-ping";
  /** Bytes of the body there. */
  readonly bytes: number;
  /** Asks once. @throws PlantError. */
  ask(number: number): Promise<void>;
  /** Whether an error is a loss that the next round may not have. */
  isLoss(error: PlantError): boolean;
}

interface Tally {
  sent: number;
  readonly tookMs: number[];
}

/**
 * Asks again and again, and tells of each. Interrupted or out of time, it still sums up.
 * @returns 0, 1 when something was lost, 130 when interrupted.
 */
export async function measure(invocation: Invocation, what: Measurement): Promise<number> {
  const { io, out, options, flags, signal } = invocation;
  const preset = flags.forMs === undefined ? presetCount : countMax;
  const count = wholeOption(options, "count", { min: 1, max: countMax, preset });
  const { interval } = options;
  const intervalMs =
    typeof interval === "string" ? parseDuration(interval, "--interval") : presetIntervalMs;
  const tally: Tally = { sent: 0, tookMs: [] };
  const size = what.bytes > 0 ? `  ${what.bytes} B` : "";
  out.talk(`${what.target}${size}`);
  while (tally.sent < count && !signal.aborted) {
    const fromMs = io.clock.monotonicMs();
    await askOnce(invocation, what, tally);
    const restMs = fromMs + intervalMs - io.clock.monotonicMs();
    if (tally.sent < count && !signal.aborted) await io.clock.sleep(restMs, signal);
  }
  const lost = tally.sent - tally.tookMs.length;
  sumUp(invocation, what, tally);
  if (io.signal.aborted) return 130;
  return lost > 0 || tally.sent === 0 ? 1 : 0;
}

/** One round; one that the end of the measurement cut off counts as never begun. */
async function askOnce(
  { io, out, signal }: Invocation,
  { schema, ask, isLoss }: Measurement,
  tally: Tally,
): Promise<void> {
  const number = tally.sent + 1;
  const fromMs = io.clock.monotonicMs();
  try {
    await ask(number);
  } catch (thrown) {
    const error = asPlantError(thrown);
    if (signal.aborted) return;
    if (!isLoss(error)) throw error;
    tally.sent = number;
    const document = { schema: `${schema}-loss/1`, number, code: error.code };
    out.item(document, () => `${out.paint("red", "lost")}   ${number}  ${error.message}`);
    return;
  }
  const tookMs = rounded(io.clock.monotonicMs() - fromMs);
  tally.sent = number;
  tally.tookMs.push(tookMs);
  out.item(
    { schema: `${schema}-reply/1`, number, tookMs },
    () => `reply  ${number}  ${ms(tookMs)}`,
  );
}

function sumUp({ out }: Invocation, { schema, target, bytes }: Measurement, tally: Tally): void {
  const { sent, tookMs } = tally;
  const sorted = [...tookMs].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? null;
  const lost = sent - sorted.length;
  const times = {
    minMs: sorted[0] ?? null,
    medianMs: at(0.5),
    p99Ms: at(0.99),
    maxMs: sorted.at(-1) ?? null,
  };
  out.item({ schema: `${schema}/2`, target, bytes, sent, lost, ...times }, () => {
    const share = sent === 0 ? 0 : Math.round((100 * lost) / sent);
    const loss = lost === 0 ? "0 lost" : out.paint("red", `${lost} lost (${share} %)`);
    const words = [`${sent} sent`, loss];
    if (times.minMs !== null) {
      words.push(
        `min ${ms(times.minMs)}`,
        `median ${ms(times.medianMs)}`,
        `p99 ${ms(times.p99Ms)}`,
      );
    }
    return words.join(" · ");
  });
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** Three figures are enough: `0.412 ms`, `12.3 ms`, `1204 ms`. */
function ms(value: number | null): string {
  if (value === null) return "–";
  return `${value < 10 ? value.toFixed(3) : value < 100 ? value.toFixed(1) : value.toFixed(0)} ms`;
}
