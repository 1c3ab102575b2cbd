// `npm start`: a whole plant on this machine, and keys that break things to watch them mend.
// It must not know how any of it works.
import { closeSync, openSync, writeSync } from "node:fs";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { systemClock as clock } from "../util/clock.ts";
import { asPlantError, PlantError } from "../util/errors.ts";
import { openLog } from "../util/log.ts";
import { systemRandom as random } from "../util/random.ts";
import { startLoop } from "../util/running.ts";
import { type Glance, look, type SeenValue, type Sight } from "./demo-eyes.ts";
import { claimPlaces, deviceNames, type Places } from "./demo-places.ts";
import { gatewayName, raiseStage, type Stage } from "./demo-stage.ts";

const usage = `npm start -- [--headless] [--for TIME]

Starts simulated field devices, a gateway with one process per unit, an MQTT broker and a centre.

  --headless    no keys; ends with 0 only if values of every line reached the centre
  --for TIME    ends after this time, e.g. 20s or 5m
  --folder PATH where everything is kept (.plantd/demo)
`;

interface Options {
  readonly isHeadless: boolean;
  readonly forMs: number | undefined;
  readonly folder: string;
}

/** Values older than this at the end do not come any more. */
const staleMs = 10_000;
/** Time for the first values; under a second on an idle machine. */
const firstMaxMs = 60_000;

function parseOptions(words: readonly string[]): Options | undefined {
  const values = parseWords(words);
  if (values.help === true) return undefined;
  const time = /^(\d{1,6})(ms|s|m|h)$/.exec(values.for ?? "0s");
  if (time === null) {
    throw new PlantError("USAGE", { message: `--for wants a time like 20s, not ${values.for}` });
  }
  const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[time[2] ?? "s"] ?? 1000;
  const forMs = Number(time[1]) * unit;
  return {
    isHeadless: values.headless === true,
    forMs: forMs > 0 ? forMs : undefined,
    folder: values.folder ?? join(process.cwd(), ".plantd", "demo"),
  };
}

function parseWords(words: readonly string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  const options = {
    headless: flag,
    for: text,
    folder: text,
    help: { ...flag, short: "h" },
  } as const;
  try {
    return parseArgs({ args: [...words], options }).values;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new PlantError("USAGE", { message: error.message }, { cause: error });
  }
}

const startedMs = clock.monotonicMs();

/** Takes away the line of the moment, so that the next one stands alone. */
const clean = process.stdout.isTTY === true ? "\r\u001b[2K" : "";

function say(text: string): void {
  process.stdout.write(`${clean}${text}\n`);
}

function step(text: string): void {
  const seconds = ((clock.monotonicMs() - startedMs) / 1000).toFixed(1);
  say(`${seconds.padStart(5)} s  ${text}`);
}

/** What each key does, and what will be seen. */
interface Keys {
  press(key: string): Promise<void>;
}

const keyHelp = `
Keys
  c  cut the uplink, or join it again       w  pull the serial wire, or plug it in
  s  a slow meter, or a quick one again     k  kill -9 every process of the gateway
  q  quit
`;

function openKeys(stage: Stage, quit: () => void): Keys {
  let isSlow = false;
  const actions: Readonly<Record<string, () => Promise<void> | void>> = {
    c() {
      if (stage.uplink.isCut) {
        stage.uplink.restore();
        step("uplink joined: within seconds the backlog drains, and nothing is missing");
      } else {
        stage.uplink.cut();
        step("uplink cut: values go on at the gateway, its backlog grows; c joins it again");
      }
    },
    async w() {
      const isIn = await stage.switchWire();
      step(
        isIn
          ? "serial wire plugged in: both meters answer again within seconds"
          : "serial wire pulled: line rs485-1 fails, its values turn bad; the pump goes on; w plugs it in",
      );
    },
    s() {
      isSlow = !isSlow;
      stage.slowDown(isSlow);
      step(
        isSlow
          ? "meter-2 answers after 800 ms, the line waits 300: it is silent, meter-1 keeps its pace, " +
              "and no value lands in the wrong place; s mends it"
          : "meter-2 answers in time again",
      );
    },
    k() {
      const count = stage.killGateway();
      step(
        `${count} processes killed: the page is away for a second or two, then all is as it was`,
      );
    },
    q: quit,
    "\u0003": quit,
  };
  return {
    async press(key) {
      const action = actions[key];
      if (action !== undefined) await action();
      else if (/^[a-z?]$/.test(key)) say(keyHelp);
    },
  };
}

/** Listens to the terminal, or to what is piped in; returns what ends that. */
function listen(keys: Keys, fail: (error: unknown) => void): () => void {
  const { stdin } = process;
  if (stdin.isTTY) stdin.setRawMode(true);
  const hear = (chunk: Buffer) => {
    for (const key of chunk.toString()) keys.press(key).catch(fail);
  };
  stdin.on("data", hear);
  return () => {
    stdin.off("data", hear);
    if (stdin.isTTY) stdin.setRawMode(false);
    stdin.pause();
  };
}

/** How gateway and centre are, in one line. */
function describe({ verdict, waiting, values, ageMs }: Glance): string {
  const gateway = verdict === undefined ? "gateway does not answer" : `gateway ${verdict}`;
  const age = ageMs === undefined ? "" : `, newest ${(ageMs / 1000).toFixed(1)} s old`;
  const centre = values === undefined ? "centre does not answer" : `${values.length} values${age}`;
  return `${gateway} · ${waiting ?? "?"} records wait · at the centre: ${centre}`;
}

/** Waits until a good value of each device is at the centre; tells what is missing after a minute. */
async function firstValues(sight: Sight, signal: AbortSignal): Promise<boolean> {
  const untilMs = clock.monotonicMs() + firstMaxMs;
  while (!signal.aborted) {
    const missing = missingIn((await look(sight, signal)).values ?? []);
    if (missing.length === 0) return true;
    if (clock.monotonicMs() > untilMs) {
      say(`no good value of ${missing.join(", ")} reached the centre; see the logs`);
      return false;
    }
    await clock.sleep(100, signal);
  }
  return false;
}

/** Devices without a good value at the centre. */
function missingIn(values: readonly SeenValue[]): string[] {
  const good = new Set(values.filter(isGood).map((value) => value.scope));
  return deviceNames.filter((name) => !good.has(`device/${name}`));
}

const isGood = (value: SeenValue) => value.quality === "good";

/** Shows how things are until the time is over, somebody quits, or something cannot go on. */
async function attend(
  stage: Stage,
  sight: Sight,
  options: Options,
  ending: AbortController,
): Promise<void> {
  const { signal } = ending;
  const isShown = process.stdout.isTTY === true && !options.isHeadless;
  await using _ = startLoop({
    clock,
    pauseMs: 1000,
    round: async () => {
      if (!isShown || signal.aborted) return;
      const glance = await look(sight, signal);
      if (!signal.aborted) process.stdout.write(`${clean}${describe(glance)}`);
    },
  });
  const fail = (error: unknown) => {
    say(asPlantError(error).message);
    ending.abort();
  };
  const mute = options.isHeadless
    ? () => {}
    : listen(
        openKeys(stage, () => ending.abort()),
        fail,
      );
  await clock.sleep(options.forMs ?? 2 ** 31 - 1, signal);
  mute();
  if (options.forMs === undefined) return;
  const glance = await look(sight, signal);
  step(describe(glance));
}

/** 0 if good values of every device are at the centre and still coming, else 1. */
async function judge(sight: Sight, signal: AbortSignal): Promise<number> {
  const { values = [], ageMs = Number.POSITIVE_INFINITY } = await look(sight, signal);
  const missing = missingIn(values);
  for (const name of missing) say(`no good value of ${name} is at the centre`);
  if (ageMs > staleMs) say(`the newest value at the centre is ${Math.round(ageMs / 1000)} s old`);
  return missing.length === 0 && ageMs <= staleMs ? 0 : 1;
}

function tell(stage: Stage, places: Places): void {
  const data = relative(process.cwd(), places.gateway) || ".";
  say(`
  Gateway page   ${stage.page}
  Centre page    ${stage.centrePage}

Try
  PLANTD_DATA_DIR=${data} npx plant status
  PLANTD_DATA_DIR=${data} npx plant values
  PLANTD_DATA_DIR=${data} npx plant set pump-1/setpoint 5.5
  PLANTD_DATA_DIR=${data} npx plant broker services`);
  say(keyHelp);
}

async function demo(options: Options): Promise<number> {
  const ending = new AbortController();
  let failure: string | undefined;
  const die = (reason: string) => {
    failure ??= reason;
    ending.abort();
  };
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => ending.abort());
  }
  const places = claimPlaces(options.folder);
  const file = openSync(join(places.logs, "demo.log"), "a");
  const write = (line: string) => writeSync(file, `${line}\n`);
  const log = openLog({ service: "demo", level: "info", write });
  const { signal } = ending;
  let code = 0;
  try {
    await using stage = await raiseStage({ clock, random, log, places, step, signal, die });
    const { page, centrePage } = stage;
    const sight: Sight = { clock, page, centrePage, gateway: gatewayName };
    if (await firstValues(sight, signal)) step("values of every device are at the centre");
    else if (options.isHeadless) ending.abort();
    if (!options.isHeadless && !signal.aborted) tell(stage, places);
    await attend(stage, sight, options, ending);
    if (options.isHeadless) code = signal.aborted ? 1 : await judge(sight, signal);
    step("ending …");
  } catch (error) {
    if (!signal.aborted) throw error;
    code = 1;
  } finally {
    closeSync(file);
  }
  if (failure !== undefined) {
    say(failure);
    return 1;
  }
  step(`ended; no process is left, the files are in ${places.folder}`);
  return code;
}

async function main(words: readonly string[]): Promise<number> {
  const options = parseOptions(words);
  if (options === undefined) {
    say(usage);
    return 0;
  }
  return await demo(options);
}

function complain(thrown: unknown): number {
  const error = asPlantError(thrown);
  process.stderr.write(`npm start: ${error.message} (${error.code})\n`);
  if (error.code === "INTERNAL" && thrown instanceof Error) {
    process.stderr.write(`${thrown.stack}\n`);
  }
  return error.exit;
}

process.exit(await main(process.argv.slice(2)).catch(complain));
