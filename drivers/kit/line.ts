// A running line: polls its devices on schedule, reports what changed, serves people.
// It must not know what devices speak: its adapter does.
import { stampNow } from "../../src/util/clock.ts";
import type { Running } from "../../src/util/running.ts";
import type { Operation } from "../../src/worker/worker.ts";
import { startBusOwner } from "./bus-owner.ts";
import { Changes } from "./changes.ts";
import { DeviceDesk } from "./device-desk.ts";
import type { LineAdapter } from "./device-plan.ts";
import type { LineDeps, LineOptions, LineParts } from "./line-parts.ts";
import { operationsOf } from "./operations.ts";
import { Polling } from "./polling.ts";
import { startReporter } from "./reporter.ts";

/** A line at work, and what it offers on the bus. */
export interface Line extends Running {
  /** `org.plantd.driver.<line>`. */
  readonly service: string;
  /** `status`, `write`, `read`, `health`. */
  readonly operations: Readonly<Record<string, Operation>>;
  /** Grows while the line goes round, at least every five seconds; a watchdog looks at it. */
  readonly progress: number;
}

/** Requests of one line to the store wait in a buffer of this many samples, or two per point. */
const samplesMax = 10_000;
const eventsMax = 200;
const batchMax = 2000;

/** Starts a line: opens its port, polls, reports. Fails only for defects; a dead port is a state. */
export function startLine(deps: LineDeps, options: LineOptions, adapter: LineAdapter): Line {
  const { polling, ...parts } = joinParts(deps, options, adapter);
  const stop = new AbortController();
  const polled = polling.run(stop.signal);
  const ended = Promise.race([polled, parts.bus.ended, parts.reporter.ended]);
  return {
    service: `org.plantd.driver.${options.name}`,
    operations: operationsOf(parts),
    get progress() {
      return polling.rounds;
    },
    ended,
    async [Symbol.asyncDispose]() {
      stop.abort();
      polling.wake();
      await parts.bus[Symbol.asyncDispose]();
      await polled;
      await parts.reporter[Symbol.asyncDispose]();
    },
  };
}

function joinParts(deps: LineDeps, options: LineOptions, adapter: LineAdapter) {
  const { clock } = deps;
  const { name, config, samplesMax: mostSamples = samplesMax } = options;
  const clockSync = deps.clockSync ?? (() => "none");
  const changes = new Changes(config.recordMaxMs);
  const points = adapter.devices.reduce((sum, device) => sum + device.points.length, 0);
  const desks = new Map<string, DeviceDesk>();

  const reporter = startReporter(
    { clock, log: deps.log.within("reporter"), random: deps.random, client: deps.client },
    {
      source: `driver.${name}`,
      limits: { samplesMax: Math.max(mostSamples, 2 * points), eventsMax, batchMax },
      infoOf: ({ device, point }) => desks.get(device)?.infoOf(point),
      onLoss: (lost) => changes.forget(lost),
    },
  );
  const record: LineParts["record"] = (samples, flush) => {
    const nowMs = clock.monotonicMs();
    const fresh = samples.flatMap((sample) => changes.offer(sample, nowMs) ?? []);
    reporter.report(fresh, flush);
  };
  const stamp = () => stampNow(clock, deps.boot, clockSync());
  const { listen } = adapter;
  const bus = startBusOwner(
    { clock, log: deps.log.within("bus"), random: deps.random, boot: deps.boot, clockSync },
    {
      port: adapter.makePort(),
      timing: adapter.timing,
      timeoutMs: config.timeoutMs,
      turnaroundMs: config.turnaroundMs,
      queueMax: config.queueMax,
      lateTimeouts: config.lateTimeouts,
      onState: ({ state }) => {
        for (const desk of desks.values()) desk.lineChanged(state === "open");
        polling.hasten(() => true);
      },
      ...(listen === undefined
        ? {}
        : {
            onUnasked: (received: Uint8Array) => {
              const heard = listen.call(adapter, received);
              for (const { device, samples } of heard.samples) desks.get(device)?.heard(samples);
              return heard.usedBytes;
            },
          }),
    },
  );
  for (const plan of adapter.devices) {
    const deskDeps = { clock, stamp, bus, record, event: reporter.event, line: name };
    desks.set(plan.name, new DeviceDesk(deskDeps, plan));
  }
  const polling = new Polling(clock, desks.values(), () => bus.state.state === "open");
  const hasten = (device: string) => polling.hasten(({ plan }) => plan.name === device);
  const overruns = () => polling.overruns;
  return { deps, options, adapter, bus, reporter, desks, record, hasten, overruns, polling };
}
