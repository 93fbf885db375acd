// What the official `openai` client makes of the gateway's answers: node openai.mjs URL KEY MODEL WHAT, one JSON document out.
import OpenAI from "openai";

const [url, key, model, what] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
const messages = [{ role: "user", content: "one two three" }];
const tools = [
  { type: "function", function: { name: "sum", parameters: { type: "object", properties: { a: { type: "integer" } } } } },
];
const schema = { type: "object", properties: { colour: { type: "string" } }, required: ["colour"], additionalProperties: false };

async function streamed(request) {
  const parts = [];
  let usage = null;
  const stream = await client.chat.completions.create({ model, stream: true, stream_options: { include_usage: true }, ...request });
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta?.content) parts.push(chunk.choices[0].delta.content);
    usage = chunk.usage ?? usage;
  }
  return { parts, usage };
}

const CASES = {
  async everything() {
    const chat = await client.chat.completions.create({ model, messages });
    const called = await client.chat.completions.create({ model, messages, tools });
    const stream = client.chat.completions.stream({ model, messages, tools });
    const calledInStream = await stream.finalMessage();
    const parsed = await client.chat.completions.parse({
      model,
      messages,
      response_format: { type: "json_schema", json_schema: { name: "answer", strict: true, schema } },
    });
    // The client asks for base64 by itself and decodes it.
    const vectors = await client.embeddings.create({ model, input: ["a", "four"] });
    const answer = await client.responses.create({ model, input: "one two three" });
    const listed = [];
    for await (const each of client.models.list()) listed.push(each.id);
    return {
      chat,
      called: called.choices[0].message.tool_calls,
      calledInStream: calledInStream.tool_calls,
      content: JSON.parse(parsed.choices[0].message.content),
      vectors: vectors.data.map((row) => row.embedding),
      response: answer.output_text,
      listed,
      streamed: await streamed({ messages }),
    };
  },

  async abort() {
    const stream = await client.chat.completions.create({ model, stream: true, messages: [{ role: "user", content: "endless" }] });
    let count = 0;
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta?.content && ++count === 3) stream.controller.abort();
    }
    return { count };
  },

  wait: () => streamed({ messages }),

  async errors() {
    const found = {};
    for (const [name, call] of Object.entries({
      missing: () => client.chat.completions.create({ model: "nobody-has-it", messages }),
      key: () => new OpenAI({ baseURL: `${url}/v1`, apiKey: "omx_wrong", maxRetries: 0 }).models.list(),
      late: () => streamed({ messages: [{ role: "user", content: "breaks late" }] }),
    })) {
      await call().then(
        () => (found[name] = null),
        (error) => (found[name] = { class: error.constructor.name, status: error.status ?? null, message: error.message }),
      );
    }
    return found;
  },
};

console.log(JSON.stringify(await CASES[what]()));
