// Door of the simulators: they serve the tables the drivers read, on the lines the drivers use,
// and go wrong on command. It must not know the gateway.
import type { LineConfig } from "../../src/config/config.ts";
import type { Clock } from "../../src/util/clock.ts";
import type { Log } from "../../src/util/log.ts";
import { type Running, startLoop } from "../../src/util/running.ts";
import { characterMs, makeSerialPort } from "../kit/kit.ts";
import { type FaultRequest, parseCommand } from "./fault.ts";
import { type Ledger, openLedger } from "./ledger.ts";
import { openReplies, type ReplyCounters, type Sink } from "./replies.ts";
import { makeStandIn, ownProfiles, type ProfileSource } from "./stand-in.ts";
import { type Accept, serveSerial, serveTcp, type Transport } from "./transport.ts";

export type { FaultKind, FaultRequest } from "./fault.ts";
export { faultKinds } from "./fault.ts";
export type { Ledger, LedgerEntry } from "./ledger.ts";
export { type PtyPair, startPtyPair } from "./pty-pair.ts";

/** What a simulator needs. */
export interface SimulatorDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** Where profiles come from; those of the drivers when absent. */
  readonly profiles?: ProfileSource;
}

/** A line as the configuration of a gateway describes it, seen from its other end. */
export interface SimulatedLine {
  readonly name: string;
  readonly config: LineConfig;
  /** Whether a serial line takes the time its speed asks for. */
  readonly isPaced?: boolean;
}

/** The devices of one line. */
export interface Simulator extends Running {
  readonly name: string;
  /** Device file, or host:port with the port that was taken. */
  readonly endpoint: string;
  readonly ledger: Ledger;
  readonly counters: ReplyCounters;
  /** Puts a fault in force in place of any other. */
  fault(request: FaultRequest): void;
  heal(): void;
}

const ledgerMax = 10_000;
/** Time between two lines of a device that speaks by itself. */
const speakMs = 1000;

/**
 * Starts the devices of a line. A serial port that is not there yet is waited for.
 * @throws PlantError PROFILE_UNKNOWN, PROFILE_INVALID, USAGE; PORT_UNUSABLE when TCP cannot listen.
 */
export async function startSimulator(deps: SimulatorDeps, line: SimulatedLine): Promise<Simulator> {
  const { clock } = deps;
  const { name, config } = line;
  const ledger = openLedger(ledgerMax);
  const startedMs = clock.monotonicMs();
  const profiles = deps.profiles ?? ownProfiles;
  const standIn = makeStandIn({ startedMs, ledger, profiles }, config);
  const isPaced = line.isPaced === true && config.kind !== "modbus-tcp";
  const replies = openReplies({ clock }, isPaced ? characterMs(config) : 0);
  const accept: Accept = (sink: Sink) => {
    const dialog = standIn.talk();
    return {
      bytes(data) {
        const atMs = clock.monotonicMs();
        standIn.advance(atMs);
        for (const asked of dialog.feed(data, atMs)) replies.send(asked, sink);
        return !dialog.isLost;
      },
    };
  };
  const transport = await serve({ clock, log: deps.log.within(name) }, config, accept);
  const speaking = startLoop({
    clock,
    pauseMs: speakMs,
    round() {
      const sink = transport.sink();
      if (sink === undefined) return;
      standIn.advance(clock.monotonicMs());
      for (const said of standIn.speak()) replies.send(said, sink);
    },
  });
  return {
    name,
    endpoint: transport.endpoint,
    ledger,
    counters: replies.counters,
    fault: replies.fault,
    heal: replies.heal,
    ended: transport.ended,
    async [Symbol.asyncDispose]() {
      await speaking[Symbol.asyncDispose]();
      await replies.stop();
      await transport[Symbol.asyncDispose]();
    },
  };
}

function serve(
  deps: { readonly clock: Clock; readonly log: Log },
  config: LineConfig,
  accept: Accept,
): Promise<Transport> | Transport {
  if (config.kind === "modbus-tcp") return serveTcp(deps, config, accept);
  return serveSerial(deps, makeSerialPort(config), accept);
}

/** What the process `plantd simulate` runs. */
export interface SimulateOptions {
  /** The lines of the configuration, each seen from its other end. */
  readonly lines: Readonly<Record<string, LineConfig>>;
  readonly isPaced?: boolean;
  /** Commands as text, cut anywhere: `fault line=rs485-1 kind=late ms=800`, `heal`. */
  readonly commands?: AsyncIterable<Uint8Array | string>;
}

/** A running `plantd simulate`. */
export interface Simulation extends Running {
  readonly simulators: readonly Simulator[];
  /** Carries out one command; returns what is wrong with it, if anything. */
  command(text: string): string | undefined;
}

/**
 * Simulates every line of a configuration, until disposed; the end of the commands does not end it.
 * @throws PlantError as for `startSimulator`; what was started is ended again.
 */
export async function startSimulation(
  deps: SimulatorDeps,
  options: SimulateOptions,
): Promise<Simulation> {
  await using started = new AsyncDisposableStack();
  const simulators: Simulator[] = [];
  for (const [name, config] of Object.entries(options.lines)) {
    const simulator = await startSimulator(deps, {
      name,
      config,
      isPaced: options.isPaced === true,
    });
    simulators.push(started.use(simulator));
    const { endpoint } = simulator;
    deps.log.info("simulating", { line: name, kind: config.kind, endpoint });
  }
  const command = (text: string) => obey(simulators, text);
  if (options.commands !== undefined) void follow(deps.log, options.commands, command);
  const all = started.move();
  return {
    simulators,
    command,
    ended: Promise.race(simulators.map((simulator) => simulator.ended)),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

function obey(simulators: readonly Simulator[], text: string): string | undefined {
  const command = parseCommand(text);
  if (command.is === "malformed") return command.problem;
  const { line } = command;
  const meant = simulators.filter(({ name }) => line === undefined || name === line);
  if (meant.length === 0) return `no line is named ${line}`;
  for (const simulator of meant) {
    if (command.is === "heal") simulator.heal();
    else simulator.fault(command.fault);
  }
  return undefined;
}

/** A command is short. */
const commandMax = 500;

async function follow(
  log: Log,
  commands: AsyncIterable<Uint8Array | string>,
  command: (text: string) => string | undefined,
): Promise<void> {
  let held = "";
  for await (const chunk of commands) {
    held += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString();
    const lines = held.split("\n");
    held = (lines.pop() ?? "").slice(0, commandMax);
    for (const line of lines.filter((text) => text.trim() !== "")) {
      const problem = command(line);
      if (problem === undefined) log.info("done", { command: line });
      else log.warn("not done", { command: line, problem });
    }
  }
}
