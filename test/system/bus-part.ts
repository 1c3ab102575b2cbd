// One part of a bus as a process of its own, for tests and benches: a broker or an echo worker.
// Its arguments are the role and a JSON object; it says "ready" once it has started.
import { start as startEcho } from "../../drivers/echo/echo.ts";
import { type BrokerConfig, startBroker } from "../../src/broker/broker.ts";
import { parseConfig } from "../../src/config/config.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { openLog } from "../../src/util/log.ts";
import { systemRandom as random } from "../../src/util/random.ts";
import { startWorker } from "../../src/worker/worker.ts";

const [role = "", text = "{}"] = process.argv.slice(2);
const given = JSON.parse(text) as { endpoint: string; broker?: Partial<BrokerConfig> };
const { endpoint } = given;
const log = openLog({ service: role, level: "error" });
const deps = { clock, log, random };

async function start() {
  if (role === "broker") {
    const listeners = [{ principal: "admin", endpoint }];
    return startBroker(deps, { ...parseConfig("", {}).broker, listeners, ...given.broker });
  }
  if (role === "echo") return startEcho(deps, { endpoint });
  return startWorker(
    deps,
    { endpoint, service: "slow", concurrency: 8 },
    {
      wait: async ({ args, signal }) => {
        await clock.sleep(Number(args), signal);
        signal.throwIfAborted();
        return process.pid;
      },
    },
  );
}

const running = await start();
process.stdout.write("ready\n");
process.on("SIGTERM", () => {
  void running[Symbol.asyncDispose]().then(() => process.exit(0));
});
