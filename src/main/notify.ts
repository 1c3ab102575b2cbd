// Tells systemd how the process is: ready, alive, stopping. Node has no datagram sockets of the
// unix kind, so one long-lived socat sends them. It must not know what makes the process alive.
import { type ChildProcess, spawn } from "node:child_process";
import type { Clock } from "../util/clock.ts";
import type { Log } from "../util/log.ts";
import { within } from "../util/running.ts";

/** Speaks to the service manager; does nothing where there is none. */
export interface Notifier extends AsyncDisposable {
  /** Sends assignments such as `READY=1`. @see sd_notify(3) */
  send(...assignments: readonly string[]): void;
  /** The watchdog's limit; nothing when the manager watches nothing. */
  readonly watchdogMs: number | undefined;
}

export interface NotifierDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Longest wait for the last message to leave. */
const closeMs = 1000;

/** Opens the way to the manager named by `NOTIFY_SOCKET`, a path or an abstract name (`@…`). */
export function openNotifier({ clock, log, env }: NotifierDeps): Notifier {
  const socket = env.NOTIFY_SOCKET;
  if (socket === undefined || socket === "") {
    return { send() {}, watchdogMs: undefined, async [Symbol.asyncDispose]() {} };
  }
  const address = socket.startsWith("@")
    ? `ABSTRACT-SENDTO:${socket.slice(1)}`
    : `UNIX-SENDTO:${socket}`;
  let child: ChildProcess | undefined;
  let isClosed = false;
  const reach = (): ChildProcess => {
    if (child !== undefined) return child;
    const started = spawn("socat", ["-u", "STDIN", address], {
      stdio: ["pipe", "ignore", "ignore"],
    });
    const lose = (reason: string) => {
      if (child !== started) return;
      child = undefined;
      if (!isClosed) log.warn("the way to the service manager is lost", { reason });
    };
    started.on("error", (error) => lose(error.message));
    started.on("exit", (code) => lose(`socat ended with ${code}`));
    started.stdin?.on("error", (error) => lose(error.message));
    child = started;
    return started;
  };
  const microseconds = Number(env.WATCHDOG_USEC ?? 0);
  return {
    watchdogMs: microseconds > 0 ? microseconds / 1000 : undefined,
    send(...assignments) {
      if (isClosed) return;
      reach().stdin?.write(`${assignments.join("\n")}\n`);
    },
    async [Symbol.asyncDispose]() {
      if (isClosed) return;
      isClosed = true;
      const last = child;
      if (last === undefined) return;
      const gone = new Promise<true>((done) => {
        last.on("exit", () => done(true));
        last.on("error", () => done(true));
      });
      last.stdin?.end();
      if ((await within(clock, closeMs, gone)) === undefined) last.kill("SIGKILL");
    },
  };
}
