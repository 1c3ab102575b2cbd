// The process that looks at a database so that the store need not. It writes one line of JSON.
// It must not know how that is done.
import { answerInspection } from "./inspector.ts";

const answer = await answerInspection(JSON.parse(process.argv[2] ?? "{}"));
process.stdout.write(JSON.stringify(answer));
