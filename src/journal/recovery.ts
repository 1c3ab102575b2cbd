// Opens a database that may be damaged: looked at first, set aside and replaced when it is, told
// when it was. Each step leaves a state on disk from which the next opening goes on. It must not
// know what the records mean.
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { dataFile } from "../disk/disk.ts";
import type { Clock } from "../util/clock.ts";
import { readJsonFile, removeFile, replaceFile, syncPath } from "../util/durable-file.ts";
import { hasCode, PlantError } from "../util/errors.ts";
import { makeFolder } from "../util/folder.ts";
import type { Log } from "../util/log.ts";
import { type Inspected, type Inspection, inspect } from "./inspection.ts";
import { listQuarantines, nextQuarantine, pruneQuarantines } from "./quarantine.ts";
import {
  type Facts,
  type Heads,
  nextStep,
  type Recovery,
  type Step,
  type Verdict,
} from "./recovery-plan.ts";
import { listSnapshots } from "./snapshot-files.ts";
import { newestFormat } from "./tables.ts";

export interface RecoveryDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** Looks at a database; a process of its own when absent. */
  readonly inspect?: (asked: Inspection) => Promise<Inspected>;
}

export interface RecoveryOptions {
  /** Folder of the database; what is set aside stays in it. */
  readonly folder: string;
  readonly roomBytes: number;
  /** Time for a full check at the first opening; it doubles with each that fails. */
  readonly checkMs: number;
  readonly quarantinesMax: number;
}

/** The last look at the database before it was opened. */
export interface LastCheck {
  readonly atMs: number;
  readonly how: "quick" | "full";
  /** Whether every page and row was seen. */
  readonly isWhole: boolean;
  readonly tookMs: number;
}

/** A replacement that was made, as it is told. */
export type Replaced = Recovery & {
  readonly toldMs?: number;
  /** When somebody said they have seen it. */
  readonly seenMs?: number;
};

/** What guards the open database. */
export interface Guard {
  readonly lastCheck: LastCheck | undefined;
  /** A replacement that nobody was told of yet. */
  readonly untold: Recovery | undefined;
  /** Replacements that were told, oldest first, the newest few. */
  readonly replaced: readonly Replaced[];
  /** Folders of what was set aside, oldest first. */
  quarantines(): readonly { readonly name: string; readonly bytes: number }[];
  /** The telling is durable. */
  told(): void;
  /** Somebody has seen what was told. */
  seen(): void;
  /** The opening went well: what counts them begins anew. */
  succeeded(): void;
  /** The database is closed and held this. */
  closed(last: { readonly epoch: string; readonly heads: Heads }): void;
}

interface Opening {
  readonly attempts: number;
  readonly isRewritten: boolean;
  /** The newest format that the last release knew which opened it. */
  readonly knows?: number | undefined;
}

interface Clean {
  readonly epoch: string;
  readonly heads: Heads;
}

const names = {
  clean: "clean.json",
  opening: "opening.json",
  recovery: "recovery.json",
  replaced: "replaced.json",
  remains: "remains",
  incoming: "incoming",
} as const;
/** Replacements of one opening: sources may turn out bad one after the other. */
const stepsMax = 64;
const replacedMax = 20;
/** Holes that are told one by one. */
const holesMax = 100;
/** A process that was killed may leave the one that looked for it a moment longer. */
const lockedTries = 10;
const lockedPauseMs = 300;

/**
 * Opens what `open` opens, once the database under it is sound or replaced.
 * @param open opens it; STORE_DAMAGED from there has it replaced, too.
 * @throws PlantError what `open` throws else; STORE_LOCKED, STORE_FULL, STORE_UNUSABLE,
 * STORE_FORMAT_NEWER: then nothing was set aside.
 */
export async function openGuarded<T>(
  deps: RecoveryDeps,
  options: RecoveryOptions,
  open: () => Promise<T>,
): Promise<{ store: T; guard: Guard }> {
  const opener = new Opener(deps, options);
  const store = await opener.run(open);
  return { store, guard: opener };
}

class Opener implements Guard {
  readonly #deps: RecoveryDeps;
  readonly #options: RecoveryOptions;
  readonly #inspect: (asked: Inspection) => Promise<Inspected>;
  #opening: Opening = { attempts: 0, isRewritten: false };
  #recovery: Recovery | undefined;
  #verdict: Verdict | undefined;
  lastCheck: LastCheck | undefined;

  constructor(deps: RecoveryDeps, options: RecoveryOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#inspect = deps.inspect ?? ((asked) => inspect(deps.clock, asked));
  }

  #at(name: string): string {
    return join(this.#options.folder, name);
  }

  async run<T>(open: () => Promise<T>): Promise<T> {
    try {
      makeFolder(this.#options.folder, 0o700);
      this.#begin();
      for (let count = 0; count < stepsMax; count += 1) {
        const step = nextStep(this.#facts(), this.#options.checkMs);
        if (step.do !== "open") await this.#perform(step);
        else {
          const opened = await this.#open(open);
          if (opened !== undefined) return opened.store;
        }
      }
    } catch (error) {
      // A refusal with a code is no death: only what ends without a word counts.
      if (error instanceof PlantError || isOfMedium(error)) this.#countAgain(-1);
      if (isOfMedium(error)) throw asMediumError(error, this.#options.folder);
      throw error;
    }
    throw new PlantError("STORE_DAMAGED", { reason: "nothing that replaces it opens" });
  }

  #begin(): void {
    this.#recovery = readJsonFile(this.#at(names.recovery)) as Recovery | undefined;
    const found = readJsonFile(this.#at(names.opening)) as Partial<Opening> | undefined;
    const { attempts = 0, isRewritten = false, knows } = found ?? {};
    this.#opening = { attempts, isRewritten, knows };
    this.#countAgain(1);
  }

  #countAgain(by: number): void {
    const attempts = Math.max(0, this.#opening.attempts + by);
    this.#opening = { ...this.#opening, attempts };
    try {
      replaceFile(this.#at(names.opening), JSON.stringify(this.#opening));
    } catch (error) {
      // The database itself will say more of a medium that takes nothing.
      if (!isOfMedium(error)) throw error;
    }
  }

  #facts(): Facts {
    return {
      hasData: existsSync(this.#at(dataFile)),
      isClean: this.#clean !== undefined,
      ...this.#opening,
      recovery: this.#recovery,
      verdict: this.#verdict,
      snapshots: listSnapshots(this.#options.folder).map(({ name }) => name),
    };
  }

  get #clean(): Clean | undefined {
    return readJsonFile(this.#at(names.clean)) as Clean | undefined;
  }

  /** @returns undefined when it turned out damaged. */
  async #open<T>(open: () => Promise<T>): Promise<{ store: T } | undefined> {
    const known = this.#clean?.heads;
    removeFile(this.#at(names.clean));
    if (this.#opening.knows !== newestFormat) {
      this.#opening = { ...this.#opening, knows: newestFormat };
      this.#countAgain(0);
    }
    try {
      return { store: await open() };
    } catch (error) {
      if (!hasCode(error, "STORE_DAMAGED")) throw error;
      this.#start(String(error.detail.reason), known);
      return undefined;
    }
  }

  async #perform(step: Exclude<Step, { do: "open" }>): Promise<void> {
    switch (step.do) {
      case "check":
        return this.#check(step);
      case "refuse":
        throw new PlantError(step.code, step.detail);
      case "begin":
        return this.#start(step.reason, this.#clean?.heads);
      case "quarantine":
        return this.#quarantine();
      case "read-remains":
        return this.#readRemains();
      case "take-remains":
        return this.#take(names.remains, { source: step.source });
      case "take-snapshot":
        return this.#takeSnapshot(step.name);
      case "take-nothing":
        return this.#note({ phase: "tell", source: "nothing", restored: {} });
      case "put-back":
        return this.#putBack();
      case "finish":
        return this.#note({ phase: "tell" });
    }
  }

  async #check({ how, budgetMs }: Extract<Step, { do: "check" }>): Promise<void> {
    const { folder, roomBytes } = this.#options;
    const { clock, log } = this.#deps;
    const expected = this.#clean;
    for (let count = 1; ; count += 1) {
      const asked = { do: "check", folder, roomBytes, budgetMs, expected } as const;
      const { verdict: found, tookMs } = await this.#inspect(asked);
      const verdict = this.#asItMustBe(found);
      this.#verdict = verdict;
      const isLocked = verdict.kind === "refused" && verdict.code === "STORE_LOCKED";
      if (isLocked && count < lockedTries) {
        await clock.sleep(lockedPauseMs);
        continue;
      }
      const isWhole = verdict.kind === "sound" && verdict.isWhole;
      this.lastCheck = { atMs: clock.wallMs(), how, isWhole, tookMs };
      log.debug("the database was checked", { how, tookMs, verdict: verdict.kind, isWhole });
      return;
    }
  }

  /** Nobody who knew a newer format has opened it: then what says so is garbled. */
  #asItMustBe(verdict: Verdict): Verdict {
    const isNewer = verdict.kind === "refused" && verdict.code === "STORE_FORMAT_NEWER";
    const { knows } = this.#opening;
    if (!isNewer || knows === undefined || knows > newestFormat) return verdict;
    return { kind: "damaged", reason: "it says a format that was never written" };
  }

  /** A replacement begins; what was tried for the one before stays tried. */
  #start(reason: string, known: Heads = {}): void {
    const { folder } = this.#options;
    const before = this.#recovery;
    const tried = [...(before?.tried ?? [])];
    if (before?.source === "snapshot" && before.snapshot !== undefined) tried.push(before.snapshot);
    const atMs = this.#deps.clock.wallMs();
    this.#opening = { ...this.#opening, isRewritten: true };
    this.#countAgain(0);
    this.#recovery = {
      phase: "quarantine",
      name: nextQuarantine(folder, atMs),
      reason,
      atMs,
      known: { ...before?.known, ...known },
      isClosed: this.#clean !== undefined,
      tried,
    };
    this.#verdict = undefined;
    this.#note({});
    this.#deps.log.error("the database is damaged and is replaced", {
      code: "STORE_DAMAGED",
      reason,
      quarantine: this.#recovery.name,
    });
  }

  #putBack(): void {
    const aside = this.#at(this.#recovery?.name ?? "");
    if (existsSync(join(aside, dataFile))) {
      renameSync(join(aside, dataFile), this.#at(dataFile));
      syncPath(this.#options.folder);
    }
    rmSync(aside, { recursive: true, force: true });
    removeFile(this.#at(names.recovery));
    this.#recovery = undefined;
  }

  /** Keeps what is known of the replacement, durably. */
  #note(more: Partial<Recovery>): void {
    if (this.#recovery === undefined) return;
    this.#recovery = { ...this.#recovery, ...more };
    replaceFile(this.#at(names.recovery), JSON.stringify(this.#recovery));
  }

  #quarantine(): void {
    const aside = this.#at(this.#recovery?.name ?? "");
    if (existsSync(this.#at(dataFile))) {
      if (!existsSync(aside)) mkdirSync(aside, { mode: 0o700 });
      renameSync(this.#at(dataFile), join(aside, dataFile));
      syncPath(aside);
    }
    rmSync(this.#at("lock.mdb"), { force: true });
    rmSync(this.#at(names.clean), { force: true });
    syncPath(this.#options.folder);
    const { quarantinesMax: countMax, roomBytes } = this.#options;
    pruneQuarantines(this.#options.folder, { countMax, bytesMax: 2 * roomBytes });
    this.#note({ phase: "restore" });
  }

  async #readRemains(): Promise<void> {
    const { roomBytes, checkMs } = this.#options;
    const { name, known, isClosed } = this.#recovery ?? { name: "", known: {}, isClosed: false };
    const folder = this.#emptied(names.remains);
    const file = join(this.#at(name), dataFile);
    if (!existsSync(file)) return this.#note({ remains: "none" });
    const budgetMs = checkMs * 4;
    const asked = {
      do: "read-remains",
      file,
      folder,
      roomBytes,
      budgetMs,
      known,
      isClosed,
    } as const;
    const { answer, verdict } = await this.#inspect(asked);
    if (answer?.kind !== "remains") {
      if (verdict.kind === "refused") throw new PlantError(verdict.code, verdict.detail);
      const reason = "reason" in verdict ? verdict.reason : verdict.kind;
      this.#deps.log.warn("nothing can be read of the damaged database", { reason });
      return this.#note({ remains: "none" });
    }
    const { remains, heads, holes } = answer;
    renameSync(join(answer.folder, dataFile), join(folder, dataFile));
    const all = { ...heads, ...known };
    return this.#note({ remains, known: all, holes: holes.slice(0, holesMax) });
  }

  async #takeSnapshot(name: string): Promise<void> {
    const folder = this.#emptied(names.incoming);
    const snapshot = listSnapshots(this.#options.folder).find((one) => one.name === name);
    if (snapshot === undefined) return this.#skip(name);
    const staged = join(folder, dataFile);
    try {
      copyFileSync(snapshot.path, staged);
      syncPath(staged);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
      // Without room for a copy the snapshot itself is taken: it is there to be used.
      rmSync(staged, { force: true });
      renameSync(snapshot.path, staged);
    }
    return this.#take(names.incoming, { source: "snapshot", snapshot: name });
  }

  /** Puts a new database in the place of the old one, unless it is damaged itself. */
  async #take(from: string, more: Pick<Recovery, "source" | "snapshot">): Promise<void> {
    const { roomBytes, checkMs } = this.#options;
    const folder = this.#at(from);
    const asked = { do: "check", folder, roomBytes, budgetMs: checkMs * 4 } as const;
    const { verdict, answer } = await this.#inspect(asked);
    if (verdict.kind === "refused" && verdict.code !== "STORE_FORMAT_NEWER") {
      throw new PlantError(verdict.code, verdict.detail);
    }
    const report = answer?.kind === "sound" ? answer.report : undefined;
    if (report === undefined) return this.#skip(more.snapshot ?? more.source ?? "");
    this.#note({ ...more, restored: report.heads });
    renameSync(join(folder, dataFile), this.#at(dataFile));
    syncPath(this.#options.folder);
    rmSync(folder, { recursive: true, force: true });
    this.#note({ phase: "tell" });
  }

  #skip(name: string): void {
    this.#deps.log.warn("it does not replace the damaged database", { tried: name });
    this.#note({ tried: [...(this.#recovery?.tried ?? []), name] });
  }

  /** An empty folder beside the database. */
  #emptied(name: string): string {
    const folder = this.#at(basename(name));
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { mode: 0o700 });
    return folder;
  }

  get untold(): Recovery | undefined {
    return this.#recovery;
  }

  get replaced(): readonly Replaced[] {
    return (readJsonFile(this.#at(names.replaced)) as Replaced[] | undefined) ?? [];
  }

  quarantines(): readonly { name: string; bytes: number }[] {
    return listQuarantines(this.#options.folder);
  }

  told(): void {
    if (this.#recovery === undefined) return;
    const told: Replaced = { ...this.#recovery, toldMs: this.#deps.clock.wallMs() };
    const before = this.replaced.filter(({ name }) => name !== told.name);
    replaceFile(this.#at(names.replaced), JSON.stringify([...before, told].slice(-replacedMax)));
    removeFile(this.#at(names.recovery));
    this.#recovery = undefined;
    rmSync(this.#at(names.remains), { recursive: true, force: true });
    rmSync(this.#at(names.incoming), { recursive: true, force: true });
  }

  seen(): void {
    const seenMs = this.#deps.clock.wallMs();
    const all = this.replaced.map((one) => ({ seenMs, ...one }));
    replaceFile(this.#at(names.replaced), JSON.stringify(all));
  }

  succeeded(): void {
    if (this.#opening.attempts === 0 && !this.#opening.isRewritten) return;
    this.#opening = { ...this.#opening, attempts: 0, isRewritten: false };
    replaceFile(this.#at(names.opening), JSON.stringify(this.#opening));
  }

  closed(last: Clean): void {
    this.succeeded();
    replaceFile(this.#at(names.clean), JSON.stringify(last));
  }
}

/** Errors of a medium or a folder that takes nothing or gives nothing. */
function isOfMedium(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === "string" && /^E(NOSPC|DQUOT|ROFS|ACCES|PERM|IO|NOTDIR|ISDIR)$/.test(code);
}

function asMediumError(error: unknown, folder: string): PlantError {
  const { code = "" } = error as NodeJS.ErrnoException;
  const isFull = code === "ENOSPC" || code === "EDQUOT";
  const detail = { folder, reason: code };
  return new PlantError(isFull ? "STORE_FULL" : "STORE_UNUSABLE", detail, { cause: error });
}
