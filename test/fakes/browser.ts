// A real browser without a window, driven over the DevTools protocol. It ends by its process id.
// It must not know the page. @see Chrome DevTools Protocol 1.3
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock as clock } from "../../src/util/clock.ts";

const flags = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--hide-scrollbars",
  "--remote-debugging-port=0",
];
const startMaxMs = 30_000;
const callMaxMs = 20_000;

type Answer = Readonly<Record<string, unknown>>;

export interface Browser extends AsyncDisposable {
  /** Opens a page; resolves when it has loaded. */
  open(url: string, view: View): Promise<Tab>;
}

export interface View {
  readonly width: number;
  readonly height?: number;
  readonly isDark?: boolean;
  readonly noScript?: boolean;
}

export interface Tab extends AsyncDisposable {
  /** The JSON value of an expression in the page. */
  evaluate<T>(expression: string): Promise<T>;
  /** Waits until an expression is true. */
  until(expression: string): Promise<void>;
  /** The whole page as PNG. */
  screenshot(): Promise<Buffer>;
  /** Addresses the page has asked for. */
  readonly requests: readonly string[];
  /** Errors and refusals the page has reported. */
  readonly complaints: readonly string[];
}

/** Starts the browser. */
export async function startBrowser(program = "chromium"): Promise<Browser> {
  const folder = mkdtempSync(join(tmpdir(), "plantd-browser-"));
  const words = [...flags, `--user-data-dir=${folder}`, "about:blank"];
  const child = spawn(program, words, { stdio: "ignore", detached: true });
  const address = await findAddress(folder, child);
  const link = await connect(address);
  return {
    open: (url, view) => openTab(link, url, view),
    async [Symbol.asyncDispose]() {
      link.close();
      await end(child);
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function findAddress(folder: string, child: ChildProcess): Promise<string> {
  let failed: Error | undefined;
  child.on("error", (error) => {
    failed = error;
  });
  const from = clock.monotonicMs();
  while (clock.monotonicMs() - from < startMaxMs) {
    if (failed !== undefined) throw failed;
    try {
      const text = readFileSync(join(folder, "DevToolsActivePort"), "utf8");
      const [port, path] = text.trim().split("\n");
      if (path !== undefined) return `ws://127.0.0.1:${port}${path}`;
    } catch {
      // not written yet
    }
    await clock.sleep(50);
  }
  throw new Error("the browser did not start");
}

async function end(child: ChildProcess): Promise<void> {
  const over = new Promise((resolve) => child.once("exit", resolve));
  if (child.exitCode !== null || child.pid === undefined) return;
  process.kill(-child.pid, "SIGKILL");
  await over;
}

interface Link {
  call(method: string, params?: object, session?: string): Promise<Answer>;
  on(session: string, hear: (method: string, params: Answer) => void): void;
  close(): void;
}

async function connect(address: string): Promise<Link> {
  const socket = new WebSocket(address);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error("the browser does not answer"));
  });
  let last = 0;
  const open = new Map<number, { resolve(a: Answer): void; reject(e: Error): void }>();
  const hearers = new Map<string, (method: string, params: Answer) => void>();
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(String(data));
    const waiting = open.get(message.id);
    if (waiting === undefined) {
      hearers.get(message.sessionId)?.(message.method, message.params);
      return;
    }
    open.delete(message.id);
    if (message.error) waiting.reject(new Error(message.error.message));
    else waiting.resolve(message.result);
  };
  return {
    call(method, params = {}, session) {
      last += 1;
      const id = last;
      const over = new AbortController();
      const answer = new Promise<Answer>((resolve, reject) => open.set(id, { resolve, reject }));
      socket.send(JSON.stringify({ id, method, params, ...(session && { sessionId: session }) }));
      const late = clock.sleep(callMaxMs, over.signal).then(() => {
        if (open.delete(id)) throw new Error(`${method} was not answered`);
        return {};
      });
      return Promise.race([answer, late]).finally(() => over.abort());
    },
    on: (session, hear) => hearers.set(session, hear),
    close: () => socket.close(),
  };
}

async function openTab(link: Link, url: string, view: View): Promise<Tab> {
  const { targetId } = await link.call("Target.createTarget", { url: "about:blank" });
  const attached = await link.call("Target.attachToTarget", { targetId, flatten: true });
  const session = String(attached.sessionId);
  const call = (method: string, params?: object) => link.call(method, params, session);
  const requests: string[] = [];
  const complaints: string[] = [];
  let loaded = () => {};
  const isLoaded = new Promise<void>((resolve) => {
    loaded = resolve;
  });
  link.on(session, (method, params) => {
    if (method === "Network.requestWillBeSent") {
      requests.push(String((params.request as Answer).url));
    }
    if (method === "Page.loadEventFired") loaded();
    if (method === "Runtime.exceptionThrown" || method === "Log.entryAdded") {
      complaints.push(JSON.stringify(params));
    }
  });
  for (const domain of ["Page", "Network", "Runtime", "Log"]) await call(`${domain}.enable`);
  const { width, height = 800, isDark = false, noScript = false } = view;
  const size = { width, height, deviceScaleFactor: 1, mobile: width < 600 };
  await call("Emulation.setDeviceMetricsOverride", size);
  const features = [{ name: "prefers-color-scheme", value: isDark ? "dark" : "light" }];
  await call("Emulation.setEmulatedMedia", { features });
  if (noScript) await call("Emulation.setScriptExecutionDisabled", { value: true });
  await call("Page.navigate", { url });
  await isLoaded;
  const evaluate = async <T>(expression: string): Promise<T> => {
    const given = { expression, returnByValue: true, awaitPromise: true };
    const { result, exceptionDetails } = await call("Runtime.evaluate", given);
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { value: T }).value;
  };
  return {
    requests,
    complaints,
    evaluate,
    async until(expression) {
      const from = clock.monotonicMs();
      while (!(await evaluate<boolean>(`Boolean(${expression})`))) {
        if (clock.monotonicMs() - from > callMaxMs) throw new Error(`never true: ${expression}`);
        await clock.sleep(50);
      }
    },
    async screenshot() {
      const given = { format: "png", captureBeyondViewport: true };
      const { data } = await call("Page.captureScreenshot", given);
      return Buffer.from(String(data), "base64");
    },
    async [Symbol.asyncDispose]() {
      await link.call("Target.closeTarget", { targetId });
    },
  };
}
