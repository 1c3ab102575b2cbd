// The smallest worker: answers what it was asked. Copy it to begin one of your own.
// It must not know the broker, the store or any device.
import {
  startWorker,
  type Worker,
  type WorkerConfig,
  type WorkerDeps,
} from "../../src/worker/worker.ts";

export interface EchoConfig extends Omit<WorkerConfig, "service"> {
  /** Name of the service; `org.plantd.module.Echo` when absent. */
  readonly service?: string;
}

/** Starts the echo service: `echo` returns its arguments. */
export function start(deps: WorkerDeps, config: EchoConfig): Promise<Worker> {
  const settings = { service: "org.plantd.module.Echo", concurrency: 64, ...config };
  return startWorker(deps, settings, { echo: (request) => request.args });
}
