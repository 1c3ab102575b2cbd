// `plant broker …`: what is served, by whom, what waits, and how long the way is.
// It must not know what any service does.
import {
  askBroker,
  askQueue,
  askWorkers,
  describeCount,
  describeDuration,
  isForsaken,
  type ServiceReport,
} from "../status/status.ts";
import { hasCode } from "../util/errors.ts";
import type { Invocation } from "./command.ts";
import { fittingColumns, type Output } from "./output.ts";
import { measure } from "./round-trips.ts";

/** Every service with its load and answer times. */
export async function runServices(invocation: Invocation): Promise<number> {
  const { out } = invocation;
  const report = await askQueue(await invocation.client(), limitsOf(invocation));
  out.result({ schema: "plant.broker-services/1", ...report }, () => {
    if (report.services.length === 0) return "nobody serves anything, and nobody waits";
    const names = [
      "SERVICE",
      "WORKERS>",
      "BUSY>",
      "QUEUED>",
      "REQUESTS>",
      "RETRIES>",
      "EXPIRED>",
      "LOST>",
      "p50 / p99>",
    ];
    const rows = report.services.map((service) => [
      service.service,
      `${service.workers}`,
      shareOf(service.busy, service.concurrency),
      `${service.queued}`,
      describeCount(service.totals.requests ?? 0),
      `${service.totals.retries ?? 0}`,
      `${service.totals.expired ?? 0}`,
      `${service.totals.lost ?? 0}`,
      timesOf(service),
    ]);
    const least = ["RETRIES>", "EXPIRED>", "LOST>", "BUSY>", "REQUESTS>"];
    return inTable(invocation, { names, rows, least, more: report.more });
  });
  return 0;
}

/** Every worker. */
export async function runWorkers(invocation: Invocation): Promise<number> {
  const { out } = invocation;
  const report = await askWorkers(await invocation.client(), limitsOf(invocation));
  const workers = [...report.workers].sort((a, b) => (a.service < b.service ? -1 : 1));
  out.result({ schema: "plant.broker-workers/1", ...report, workers }, () => {
    if (workers.length === 0) return "nobody serves anything";
    const names = ["SERVICE", "PRINCIPAL", "DIALECT", "BUSY>", "SILENT>", ""];
    const rows = workers.map((worker) => [
      worker.service,
      worker.principal,
      worker.dialect,
      shareOf(worker.busy, worker.concurrency),
      timeInWords(worker.silentMs),
      worker.paused ? "held back: its client reads slowly" : "",
    ]);
    return inTable(invocation, { names, rows, least: ["", "DIALECT"], more: report.more });
  });
  return 0;
}

/** What waits for a worker, and what was refused. @returns 1 where nobody serves what waits. */
export async function runQueue(invocation: Invocation): Promise<number> {
  const { out } = invocation;
  const client = await invocation.client();
  const [queue, broker] = await Promise.all([
    askQueue(client, limitsOf(invocation)),
    askBroker(client, limitsOf(invocation)),
  ]);
  const services = queue.services.filter(({ queued }) => queued > 0);
  const { queued, dispatched, refused } = broker;
  const document = {
    schema: "plant.broker-queue/1",
    queued,
    dispatched,
    services,
    refused,
    wireRefused: broker.wire.refused,
  };
  out.result(document, () => {
    const head = `${describeCount(queued)} waiting · ${describeCount(dispatched)} at work`;
    const names = ["SERVICE", "WAITING>", "OLDEST>", "WORKERS>", "BUSY>", ""];
    const rows = services.map((service) => [
      service.service,
      shareOf(service.queued, service.policy.queueMax),
      timeInWords(service.oldestMs),
      `${service.workers}`,
      shareOf(service.busy, service.concurrency),
      isForsaken(service) ? "nobody serves it" : "",
    ]);
    const table = inTable(invocation, { names, rows, least: ["BUSY>", "OLDEST>"], more: 0 });
    return [
      head,
      ...(rows.length === 0 ? [] : ["", table]),
      ...(services.some(isForsaken) ? ["", "next  plant log --errors; start who serves it"] : []),
      ...refusalsIn("REFUSED", refused, out),
      ...refusalsIn("ON THE WIRE", broker.wire.refused, out),
    ].join("\n");
  });
  return services.some(isForsaken) ? 1 : 0;
}

/** The way to the broker and back. */
export async function runPing(invocation: Invocation): Promise<number> {
  const { signal, flags } = invocation;
  const client = await invocation.client();
  const name = [Buffer.from("org.plantd.State")];
  return measure(invocation, {
    target: "the broker",
    schema: "plant.broker-ping",
    bytes: 0,
    async ask() {
      await client.request("mmi.service", name, { deadlineMs: flags.timeoutMs, signal });
    },
    isLoss: (error) => error.isRetryable || hasCode(error, "BROKER_LOST"),
  });
}

function limitsOf({ flags, signal }: Invocation) {
  return { deadlineMs: flags.timeoutMs, signal };
}

/** A table as wide as the screen; nothing is cut where there is none. */
function inTable(
  { io }: Invocation,
  table: {
    readonly names: readonly string[];
    readonly rows: readonly (readonly string[])[];
    readonly least: readonly string[];
    readonly more: number;
  },
): string {
  const { names, rows, least, more } = table;
  const width = io.stdout.isTerminal ? io.stdout.columns : Number.POSITIVE_INFINITY;
  const lines = fittingColumns(names, rows, { width, least });
  if (more > 0) lines.push(`… and ${describeCount(more)} more`);
  return lines.join("\n");
}

/** `3/64`; without a known bound only the number. */
function shareOf(part: number, whole: number): string {
  return whole > 0 ? `${part}/${whole}` : `${part}`;
}

function timesOf({ latency }: ServiceReport): string {
  if (latency.count === 0) return "–";
  return `${milliseconds(latency.p50Ms)} / ${milliseconds(latency.p99Ms)} ms`;
}

function milliseconds(value: number): string {
  return value < 10 ? value.toFixed(2) : value.toFixed(0);
}

/** Below a minute the fraction matters. */
function timeInWords(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : describeDuration(ms);
}

/** Reasons that happened, most often first. */
function refusalsIn(head: string, counts: Readonly<Record<string, number>>, out: Output): string[] {
  const found = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, count]) => `${reason} ${describeCount(count)}`);
  return found.length === 0 ? [] : ["", `${out.paint("bold", head)}  ${found.join(" · ")}`];
}
