// Does with `ollama` what its users do, and prints what came of it as JSON.
import { Ollama } from "ollama";

const [host, key, model, embeddingModel] = process.argv.slice(2);
const ollama = new Ollama({ host, headers: { Authorization: `Bearer ${key}` } });
const stranger = new Ollama({ host });
const messages = [{ role: "user", content: "Say one two three four five six seven eight nine." }];
const options = { num_predict: 8, temperature: 0 };

async function failure(work) {
  try {
    await work();
  } catch (error) {
    return { name: error.name, message: error.message, status: error.status_code ?? null };
  }
  return null;
}

async function streamed(request) {
  const parts = [];
  for await (const part of await ollama.chat({ model, messages, options, stream: true, ...request })) parts.push(part);
  return parts;
}

const parts = await streamed({});
const made = [];
for await (const part of await ollama.generate({ model, prompt: "one two three", options, stream: true })) made.push(part);
const listed = (await ollama.list()).models.map((one) => one.name);

console.log(
  JSON.stringify({
    chat: await ollama.chat({ model, messages, options }),
    streamed: { text: parts.map((part) => part.message.content).join(""), done: parts.map((part) => part.done) },
    generate: await ollama.generate({ model, prompt: "one two three", options }),
    generated: { text: made.map((part) => part.response).join(""), done: made.at(-1).done },
    embed: await ollama.embed({ model: embeddingModel, input: ["one", "two"] }),
    embeddings: await ollama.embeddings({ model: embeddingModel, prompt: "one" }),
    listed,
    shown: (await ollama.show({ model })).capabilities,
    loaded: (await ollama.ps()).models.map((one) => one.name),
    version: (await ollama.version()).version,
    unknown: await failure(() => ollama.chat({ model: "missing", messages })),
    unknownStream: await failure(() => streamed({ model: "missing" })),
    keyless: await failure(() => stranger.list()),
    pull: await failure(() => ollama.pull({ model })),
    broken: await failure(() => streamed({ messages: [{ role: "user", content: "one two three [[error_after=2]]" }] })),
    cut: await failure(() => streamed({ messages: [{ role: "user", content: "one two three [[eof_after=2]]" }] })),
  }),
);
