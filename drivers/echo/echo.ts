// The smallest worker: answers what it was asked. Copy it to begin one of your own.
// It must not know the broker, the store or any device.
import {
  byOperation,
  startWorker,
  type Worker,
  type WorkerConfig,
  type WorkerDeps,
  type WorkerRequest,
} from "../../src/worker/worker.ts";

export interface EchoConfig extends Omit<WorkerConfig, "service"> {
  /** Name of the service; `org.plantd.module.Echo` when absent. */
  readonly service?: string;
}

/**
 * Starts the echo service. Disposing the worker lets what is under way finish first.
 *
 * Two kinds of clients ask it. Ours and plantd's send an operation's name and its arguments as
 * JSON: `echo` returns its arguments, and `health` is answered without a line of code. Others of
 * the field send a body of their own making, and expect that very body back. So: a body whose
 * first frame names one of the operations is a call; every other body comes back as it is.
 */
export function start(deps: WorkerDeps, config: EchoConfig): Promise<Worker> {
  const settings = { service: "org.plantd.module.Echo", concurrency: 64, ...config };
  const operations = {
    // An operation gets a request (its arguments, deadline, signal, trace) and returns the data
    // of the reply, or a promise of it. What it throws, best a PlantError, is the error.
    echo: (request: WorkerRequest) => request.args,
  };
  // A worker that is only called needs no more than startWorker(deps, settings, operations).
  const work = byOperation(deps.log, operations, (request) => request.body);
  return startWorker(deps, settings, work);
}
