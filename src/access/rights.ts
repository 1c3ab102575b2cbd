// Who may serve and who may call which service, by the socket a peer comes in by. Pure.
// It must not know sockets or messages.
import type { Principal } from "../util/paths.ts";

/** What a peer wants to do with a service. */
export type Verb = "serve" | "call";

/** Services as their names, or as the beginning of their names with a `*` at the end. */
interface Rights {
  readonly serve: readonly string[];
  readonly call: readonly string[];
}

const everything = ["*"];
const state = "org.plantd.State";
const logger = "org.plantd.Logger";
const sync = "org.plantd.Sync";
const drivers = "org.plantd.driver.*";
const modules = "org.plantd.module.*";

/** Rights in a closed gateway. What is not named is denied. */
const table: Readonly<Record<Principal, Rights>> = {
  store: { serve: [state, logger], call: [logger] },
  sync: { serve: [sync], call: [state, logger, drivers] },
  http: { serve: [], call: [state, logger, sync, drivers, modules] },
  driver: { serve: [drivers, modules], call: [state, logger] },
  technician: { serve: [], call: everything },
  admin: { serve: [], call: everything },
  appliance: { serve: ["org.plantd.Appliance"], call: [state, logger, sync] },
};

/**
 * Whether a peer may do this. Questions to the broker itself (`mmi.*`) are open to whoever is a
 * principal at all.
 * @param mode `open` admits everybody to everything: for development.
 */
export function isAdmitted(
  mode: "open" | "closed",
  principal: string,
  verb: Verb,
  service: string,
): boolean {
  if (mode === "open") return true;
  if (!isPrincipal(principal)) return false;
  if (verb === "call" && service.startsWith("mmi.")) return true;
  return table[principal][verb].some((pattern) =>
    pattern.endsWith("*") ? service.startsWith(pattern.slice(0, -1)) : service === pattern,
  );
}

function isPrincipal(name: string): name is Principal {
  return Object.hasOwn(table, name);
}
