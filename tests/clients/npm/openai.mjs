// Does with `openai` what its users do, and prints what came of it as JSON.
import OpenAI from "openai";

const [host, key, model, embeddingModel, prefix] = process.argv.slice(2);
const openai = new OpenAI({ baseURL: host + prefix, apiKey: key, maxRetries: 0 });
const stranger = new OpenAI({ baseURL: host + prefix, apiKey: "wrong" });
const messages = [{ role: "user", content: "Say one two three four five six seven eight nine." }];

async function failure(work) {
  try {
    await work();
  } catch (error) {
    const { message, status, code, type, requestID } = error;
    return { name: error.constructor.name, message, status, code, type, requestID };
  }
  return null;
}

async function streamed(request) {
  const chunks = [];
  const asked = { model, messages, max_tokens: 8, stream: true, ...request };
  for await (const chunk of await openai.chat.completions.create(asked)) chunks.push(chunk);
  return chunks;
}

const chunks = await streamed({});
const counted = await streamed({ stream_options: { include_usage: true } });
const listed = [];
for await (const one of openai.models.list()) listed.push(one.id);
const packed = await openai.embeddings.create({ model: embeddingModel, input: "one" });
const plain = await openai.embeddings.create({ model: embeddingModel, input: "one", encoding_format: "float" });

const said = {
  chat: await openai.chat.completions.create({ model, messages, max_tokens: 8 }),
  streamed: {
    text: chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join(""),
    usage: chunks.map((chunk) => chunk.usage ?? null).filter((usage) => usage),
  },
  counted: counted.at(-1).usage,
  completion: await openai.completions.create({ model, prompt: "one two three", max_tokens: 4 }),
  packed: packed.data[0].embedding,
  plain: plain.data[0].embedding,
  listed,
  found: (await openai.models.retrieve(listed[0])).id,
  unknown: await failure(() => openai.chat.completions.create({ model: "missing", messages })),
  keyless: await failure(() => stranger.models.list()),
  broken: await failure(() => streamed({ messages: [{ role: "user", content: "one two three [[error_after=2]]" }] })),
  cut: await failure(() => streamed({ messages: [{ role: "user", content: "one two three [[die_after=2]]" }] })),
};

if (prefix === "/v1") {
  const asked = { model, input: "Say one two three.", max_output_tokens: 8 };
  const deltas = [];
  const stream = openai.responses.stream(asked);
  for await (const event of stream) if (event.type === "response.output_text.delta") deltas.push(event.delta);
  said.responded = (await openai.responses.create(asked)).output_text;
  said.response = { text: deltas.join(""), final: (await stream.finalResponse()).output_text };
}

console.log(JSON.stringify(said));
