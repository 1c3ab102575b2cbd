// The operation that appends measurements of machines and programs to the stream `metric`: what is
// collected but is no value of a device. It must not know what is measured.
import { PlantError } from "../util/errors.ts";
import { check } from "../util/shape.ts";
import type { Operation } from "../worker/worker.ts";
import type { StateCore } from "./core.ts";
import { bound, limits, shapes } from "./requests.ts";

/** One measurement. */
export interface Metric {
  readonly name: string;
  readonly value: number;
  readonly unit?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** Measurements of one moment as one record; on the wire it is an event of the kind `metric`. */
export function metricRecord(
  values: readonly Metric[],
  { time, source }: { readonly time: unknown; readonly source: string },
): Record<string, unknown> & { readonly kind: "event" } {
  return { kind: "event", event: { kind: "metric", values }, time, source };
}

/** Operations on measurements. */
export function metricOperations(core: StateCore): Record<string, Operation> {
  return { "append-metrics": ({ args }) => appendMetrics(core, args) };
}

/** @throws PlantError REQUEST_MALFORMED, LIMIT_REACHED, as `Journal.append`. */
async function appendMetrics(core: StateCore, args: unknown): Promise<unknown> {
  const asked = check(shapes.appendMetrics, args);
  const { metrics, flush = "group", source, run, number } = asked;
  if (metrics.length === 0) {
    throw new PlantError("REQUEST_MALFORMED", { reason: "metrics: at least one is needed" });
  }
  bound("metrics of one call", metrics.length, limits.metricsPerCall);
  metrics.forEach(({ labels = {} }, at) => {
    bound(`metrics.${at}.labels`, Object.keys(labels).length, limits.labelsPerMetric);
  });
  const record = metricRecord(metrics, { time: asked.time ?? core.now(), source });
  const bytes = Buffer.byteLength(JSON.stringify(record.event));
  bound("bytes of metrics", bytes, limits.valueBytes);
  return await core.append("metric", [record], { flush, source: { source, run, number } });
}
