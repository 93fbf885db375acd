// What the official `ollama` client makes of the gateway's answers: node ollama.mjs URL KEY MODEL WHAT, one JSON document out.
import { Ollama } from "ollama";

const [url, key, model, what] = process.argv.slice(2);
const client = new Ollama({ host: url, headers: { Authorization: `Bearer ${key}` } });
const messages = [{ role: "user", content: "one two three" }];
const tools = [
  {
    type: "function",
    function: { name: "sum", description: "Adds.", parameters: { type: "object", properties: { a: { type: "integer" } } } },
  },
];

async function streamed(request) {
  const parts = [];
  let last = null;
  for await (const part of await client.chat({ model, stream: true, ...request })) {
    if (part.message.content) parts.push(part.message.content);
    last = part;
  }
  return { parts, last };
}

const CASES = {
  async everything() {
    const called = await client.chat({ model, messages, tools });
    const formatted = await client.chat({ model, messages, format: { type: "object", properties: { colour: { type: "string" } } } });
    return {
      chat: await client.chat({ model, messages }),
      generated: await client.generate({ model, prompt: "one two" }),
      called: called.message.tool_calls,
      content: JSON.parse(formatted.message.content),
      vectors: (await client.embed({ model, input: ["a", "four"] })).embeddings,
      older: (await client.embeddings({ model, prompt: "four" })).embedding,
      listed: (await client.list()).models,
      shown: await client.show({ model }),
      running: (await client.ps()).models,
      version: await client.version(),
      streamed: await streamed({ messages }),
    };
  },

  async abort() {
    let count = 0;
    const stream = await client.chat({ model, stream: true, messages: [{ role: "user", content: "endless" }] });
    try {
      for await (const part of stream) {
        if (part.message.content && ++count === 3) stream.abort();
      }
    } catch (error) {
      return { count, name: error.name };
    }
    return { count, name: null };
  },

  wait: () => streamed({ messages }),

  async errors() {
    const found = {};
    for (const [name, call] of Object.entries({
      missing: () => client.chat({ model: "nobody-has-it", messages }),
      key: () => new Ollama({ host: url, headers: { Authorization: "Bearer omx_wrong" } }).list(),
      late: () => streamed({ messages: [{ role: "user", content: "breaks late" }] }),
    })) {
      await call().then(
        () => (found[name] = null),
        (error) => (found[name] = { class: error.name, status: error.status_code ?? null, message: error.message }),
      );
    }
    return found;
  },
};

console.log(JSON.stringify(await CASES[what]()));
