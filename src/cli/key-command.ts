// `plant broker key`: the broker's public key, and pairs for those who connect by the network.
// Secrets stay in their files. It must not know how a key is made.
import { PlantError } from "../util/errors.ts";
import { findPaths } from "../util/paths.ts";
import type { Invocation } from "./command.ts";

/** Port in the lines to add; any that is free will do. */
const examplePort = 7200;

/** Works without a broker. @throws PlantError USAGE, KEY_FILE_EXISTS, KEY_FILE_UNUSABLE. */
export async function runKey(invocation: Invocation): Promise<number> {
  const { io, out, options } = invocation;
  const { brokerKey } = findPaths(io.env);
  if (options.new === undefined) {
    for (const name of ["file", "principal"]) {
      if (options[name] === undefined) continue;
      throw new PlantError("USAGE", { message: `--${name} goes with --new` });
    }
    const publicKey = await io.publicKey(brokerKey);
    out.result({ schema: "plant.broker-key/1", file: brokerKey, publicKey }, () => publicKey);
    out.talk(`The pair is in ${brokerKey}`);
    return 0;
  }
  return makePair(invocation, await io.publicKey(brokerKey));
}

async function makePair({ io, out, options }: Invocation, brokerKey: string): Promise<number> {
  const name = String(options.new);
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name)) {
    const message = "a name has letters, digits, ., - and _, at most 63";
    throw new PlantError("USAGE", { message });
  }
  const file = String(options.file ?? `${name}.key`);
  const principal = String(options.principal ?? "technician");
  const publicKey = await io.publicKey(file, brokerKey);
  const lines = [
    "broker:",
    "  network:",
    `    - endpoint: tcp://0.0.0.0:${examplePort}`,
    `      principal: ${principal}`,
    `      keys: [${JSON.stringify(publicKey)}]  # ${name}`,
  ];
  const document = { schema: "plant.broker-new-key/1", name, file, publicKey, brokerKey, lines };
  out.result(document, () => publicKey);
  out.talk(`The pair is in ${file}: bring it to the peer, and keep it from everybody else.`);
  out.talk(`With it goes the broker's public key: ${brokerKey}`);
  out.talk(`There: plant --endpoint tcp://GATEWAY:${examplePort} --key ${file}`);
  out.talk(`Add to plantd.yaml, or the key alone where the endpoint is there:\n`);
  out.talk(lines.join("\n"));
  return 0;
}
